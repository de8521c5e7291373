//! Redirects that an Ingress asks for.

/// A redirect of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 3xx.
    pub status: u16,
    /// Where to.
    pub to: RedirectTo,
}

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectTo {
    /// `permanent-redirect` and `temporal-redirect`.
    Location(Location),
    /// The same path and query on another host, for `from-to-www-redirect`.
    Host(String),
}

/// A URL in which parts of the request may be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Scheme,
    Host,
    RequestUri,
}

/// Why a text is no [`Location`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// A variable of another program.
    #[error("has a `$` that begins none of $scheme, $host and $request_uri; write one of these, or %24")]
    Variable,
    /// Something that `Location` cannot carry, or that browsers take for a relative path.
    #[error("is no URL; write one that begins with http://, https://, $scheme:// or /, without spaces")]
    NoUrl,
}

impl Redirect {
    /// The header `Location` for a request.
    pub fn location(&self, scheme: &str, host: &str, path_and_query: &str) -> String {
        match &self.to {
            RedirectTo::Location(location) => location.fill(scheme, host, path_and_query),
            RedirectTo::Host(other) => format!("{scheme}://{other}{path_and_query}"),
        }
    }
}

impl Location {
    /// A location from its text.
    ///
    /// # Errors
    /// Where it is no URL, or names variables that are not filled in.
    pub fn new(text: &str) -> Result<Self, LocationError> {
        let begins = ["http://", "https://", "$scheme://", "/"].iter().any(|begin| text.starts_with(begin));
        if !begins || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LocationError::NoUrl);
        }
        let mut pieces = Vec::new();
        let mut parts = text.split('$');
        pieces.extend(parts.next().filter(|part| !part.is_empty()).map(|part| Piece::Text(part.to_owned())));
        for part in parts {
            let variables =
                [("request_uri", Piece::RequestUri), ("scheme", Piece::Scheme), ("host", Piece::Host)];
            let found =
                variables.into_iter().find_map(|(name, piece)| Some((part.strip_prefix(name)?, piece)));
            let (rest, piece) = found.ok_or(LocationError::Variable)?;
            // `$host_x` is a variable of another name.
            if rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_') {
                return Err(LocationError::Variable);
            }
            pieces.push(piece);
            if !rest.is_empty() {
                pieces.push(Piece::Text(rest.to_owned()));
            }
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn fill(&self, scheme: &str, host: &str, path_and_query: &str) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Scheme => scheme,
                Piece::Host => host,
                Piece::RequestUri => path_and_query,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        Location::new(text).unwrap().fill("https", "a.org", "/x?y")
    }

    #[test]
    fn parts_of_the_request_are_filled_in() {
        assert_eq!(filled("https://b.org/z"), "https://b.org/z");
        assert_eq!(filled("https://b.org$request_uri"), "https://b.org/x?y");
        assert_eq!(filled("$scheme://new.$host/"), "https://new.a.org/");
        assert_eq!(filled("/elsewhere"), "/elsewhere");
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(Location::new("https://b.org/$uri"), Err(LocationError::Variable));
        assert_eq!(Location::new("https://b.org/$hostname"), Err(LocationError::Variable));
        assert_eq!(Location::new("https://b.org/$"), Err(LocationError::Variable));
        assert_eq!(Location::new("b.org"), Err(LocationError::NoUrl));
        assert_eq!(Location::new("https://b.org/\r\nSet-Cookie: a"), Err(LocationError::NoUrl));
        assert_eq!(Location::new("javascript:alert(1)"), Err(LocationError::NoUrl));
    }

    #[test]
    fn another_host_keeps_path_and_query() {
        let redirect = Redirect { status: 308, to: RedirectTo::Host("www.a.org".to_owned()) };
        assert_eq!(redirect.location("http", "a.org", "/x?y"), "http://www.a.org/x?y");
    }
}
