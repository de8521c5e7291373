//! Cross-origin requests: what browsers ask before they let a page talk to another origin (fetch.spec.whatwg.org,
//! HTTP-CORS protocol).

use hyper::{
    HeaderMap, Method, Request, StatusCode,
    header::{self, HeaderName, HeaderValue},
};

use crate::{body::ResponseBody, config::Cors};

/// The answers of one policy, made once.
#[derive(Debug)]
pub(super) struct CorsAnswers {
    origins: Vec<String>,
    /// For every response to an allowed origin.
    always: Vec<(HeaderName, HeaderValue)>,
    /// For preflights besides.
    preflight: Vec<(HeaderName, HeaderValue)>,
}

impl CorsAnswers {
    /// The answers of a policy.
    pub(super) fn new(cors: &Cors) -> Self {
        let field = |name, text: &str| HeaderValue::try_from(text).ok().map(|value| (name, value));
        let credentials = cors.credentials.then_some("true");
        let always = [
            credentials.and_then(|text| field(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, text)),
            cors.expose.as_deref().and_then(|text| field(header::ACCESS_CONTROL_EXPOSE_HEADERS, text)),
        ];
        let preflight = [
            field(header::ACCESS_CONTROL_ALLOW_METHODS, &cors.methods),
            field(header::ACCESS_CONTROL_ALLOW_HEADERS, &cors.headers),
            field(header::ACCESS_CONTROL_MAX_AGE, &cors.max_age.to_string()),
        ];
        Self {
            origins: cors.origins.clone(),
            always: always.into_iter().flatten().collect(),
            preflight: preflight.into_iter().flatten().collect(),
        }
    }

    /// What `Access-Control-Allow-Origin` says to this request; none where its origin is not allowed, or it has none.
    pub(super) fn allowed<B>(&self, request: &Request<B>) -> Option<HeaderValue> {
        let origin = request.headers().get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|allowed| matches(allowed, text)).then(|| {
            let any = self.origins.iter().any(|allowed| allowed == "*");
            // A wildcard and credentials exclude each other (fetch, §3.3.5): the origin itself is said then.
            let credentials =
                self.always.iter().any(|(name, _)| name == header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
            if any && !credentials { HeaderValue::from_static("*") } else { origin.clone() }
        })
    }

    /// Adds what browsers look for in a response.
    pub(super) fn add(&self, headers: &mut HeaderMap, origin: HeaderValue) {
        if origin != "*" {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in &self.always {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// The answer to a preflight, which does not reach endpoints.
    pub(super) fn preflight(&self, origin: Option<HeaderValue>) -> hyper::Response<ResponseBody> {
        let mut response = hyper::Response::new(ResponseBody::own(bytes::Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Some(origin) = origin {
            self.add(response.headers_mut(), origin);
            for (name, value) in &self.preflight {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
        response
    }
}

/// True where a browser asks whether it may ask.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// `https://*.example.org` stands for one label.
fn matches(allowed: &str, origin: &str) -> bool {
    if allowed == "*" || allowed.eq_ignore_ascii_case(origin) {
        return true;
    }
    let Some((scheme, parent)) = allowed.split_once("*.") else { return false };
    origin
        .strip_prefix(scheme)
        .and_then(|host| host.split_once('.'))
        .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_matches_itself_or_one_label() {
        assert!(matches("*", "http://x"));
        assert!(matches("https://a.example", "https://A.example"));
        assert!(matches("https://*.a.example", "https://b.a.example"));
        assert!(!matches("https://*.a.example", "https://c.b.a.example"));
        assert!(!matches("https://*.a.example", "http://b.a.example"));
        assert!(!matches("https://*.a.example", "https://.a.example"));
        assert!(!matches("https://a.example", "https://a.example.evil"));
    }
}
