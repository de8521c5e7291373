//! What consistent hashing goes by.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use hyper::{
    HeaderMap, Uri,
    header::{self, HeaderName, HeaderValue},
};

use crate::config::{Balance, HashKey};

/// The hash of a request for its upstream's balance. The hasher has fixed keys: all replicas agree.
pub(super) fn hash(balance: &Balance, origin: IpAddr, uri: &Uri, headers: &HeaderMap) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Balance::Hash(key) = balance else { return 0 };
    match key {
        HashKey::ClientAddress => origin.hash(&mut hasher),
        HashKey::Uri => uri.path_and_query().map(|target| target.as_str()).hash(&mut hasher),
        HashKey::Host => headers.get(header::HOST).map(HeaderValue::as_bytes).hash(&mut hasher),
        HashKey::Header(name) => {
            let name = HeaderName::try_from(name).ok();
            name.and_then(|name| headers.get(name)).map(HeaderValue::as_bytes).hash(&mut hasher);
        }
        HashKey::Cookie(name) => cookie(headers, name).hash(&mut hasher),
        HashKey::Query(name) => query(uri, name).hash(&mut hasher),
    }
    hasher.finish()
}

/// The value of a cookie (RFC 6265 §4.2).
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

fn query<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    uri.query()?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_and_arguments_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("xa=1; a=2; b=3"));
        assert_eq!(cookie(&headers, "a"), Some("2"));
        assert_eq!(cookie(&headers, "c"), None);
        assert_eq!(query(&Uri::from_static("/?xa=1&a=2"), "a"), Some("2"));
    }

    #[test]
    fn only_the_key_decides() {
        let balance = Balance::Hash(HashKey::Query("id".to_owned()));
        let of = |uri| hash(&balance, [10, 0, 0, 1].into(), &Uri::from_static(uri), &HeaderMap::new());
        assert_eq!(of("/a?id=7"), of("/b?x=1&id=7"));
        assert_ne!(of("/a?id=7"), of("/a?id=8"));
    }
}
