//! What endpoints see of the path: `rewrite-target`.

use std::ops::Range;

/// What becomes of a path on its way to the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// What matched is replaced and the rest is kept: `/foo/x` with target `/` becomes `/x`.
    Prefix(String),
    /// The whole path is replaced; `$1` and so on are what the groups of a regular expression matched.
    Template(Vec<Piece>),
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// What a group matched.
    Group(usize),
}

/// What of a path matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Captures {
    /// So many of its first bytes.
    Prefix(usize),
    /// What the groups of a regular expression matched, the first of them all of it.
    Groups(Vec<Option<Range<usize>>>),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `$` without a digit.
    #[error("`{0}` has a `$` that no digit follows; write $1 to $9 for what a group of the path matched")]
    Variable(String),
    /// An address elsewhere.
    #[error(
        "`{0}` does not begin with `/` or a group; use permanent-redirect or temporal-redirect to send clients elsewhere"
    )]
    NoPath(String),
}

impl Captures {
    /// Nothing that matters.
    pub const NONE: Self = Self::Prefix(0);

    fn group(&self, number: usize) -> Option<Range<usize>> {
        match self {
            Self::Prefix(length) => (number == 0).then_some(0..*length),
            Self::Groups(groups) => groups.get(number).cloned().flatten(),
        }
    }
}

impl Rewrite {
    /// A template from its text.
    ///
    /// # Errors
    /// Where it names anything but groups, or is no path.
    pub fn template(text: &str) -> Result<Self, TemplateError> {
        if !text.starts_with(['/', '$']) {
            return Err(TemplateError::NoPath(text.to_owned()));
        }
        let mut pieces = Vec::new();
        let (first, rest) = text.split_once('$').map_or((text, None), |(first, rest)| (first, Some(rest)));
        if !first.is_empty() {
            pieces.push(Piece::Text(first.to_owned()));
        }
        for part in rest.into_iter().flat_map(|rest| rest.split('$')) {
            let digit = part.chars().next().and_then(|first| first.to_digit(10));
            let Some(digit) = digit else { return Err(TemplateError::Variable(text.to_owned())) };
            pieces.push(Piece::Group(digit as usize));
            if part.len() > 1 {
                pieces.push(Piece::Text(part[1..].to_owned()));
            }
        }
        Ok(Self::Template(pieces))
    }

    /// True where the result depends on what groups matched.
    pub fn has_groups(&self) -> bool {
        match self {
            Self::Prefix(_) => false,
            Self::Template(pieces) => pieces.iter().any(|piece| matches!(piece, Piece::Group(_))),
        }
    }

    /// The path that endpoints see. A template may hold a `?`: the request's query goes behind an `&` then.
    pub fn apply(&self, path: &str, captures: &Captures) -> String {
        let mut result = String::with_capacity(path.len());
        match self {
            Self::Prefix(target) => {
                let rest = &path[captures.group(0).map_or(0, |matched| matched.end)..];
                result.push_str(target.strip_suffix('/').unwrap_or(target));
                if !rest.is_empty() && !rest.starts_with('/') {
                    result.push('/');
                }
                result.push_str(rest);
            }
            Self::Template(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => result.push_str(text),
                        Piece::Group(number) => {
                            result.push_str(captures.group(*number).map_or("", |group| &path[group]));
                        }
                    }
                }
            }
        }
        if !result.starts_with('/') {
            result.insert(0, '/');
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;

    fn prefix(target: &str, path: &str, matched: usize) -> String {
        Rewrite::Prefix(target.to_owned()).apply(path, &Captures::Prefix(matched))
    }

    fn template(target: &str, pattern: &str, path: &str) -> String {
        let captures = Pattern::new(pattern).unwrap().captures(path).unwrap();
        Rewrite::template(target).unwrap().apply(path, &captures)
    }

    #[test]
    fn a_matched_prefix_is_replaced_and_the_rest_kept() {
        assert_eq!(prefix("/", "/foo/x/y", 4), "/x/y");
        assert_eq!(prefix("/", "/foo", 4), "/");
        assert_eq!(prefix("/", "/foo/", 4), "/");
        assert_eq!(prefix("/bar", "/foo/x", 4), "/bar/x");
        assert_eq!(prefix("/bar/", "/foo/x", 4), "/bar/x");
        assert_eq!(prefix("/bar", "/foo", 4), "/bar");
        assert_eq!(prefix("/bar", "/foo/", 4), "/bar/");
        assert_eq!(prefix("/bar", "/x", 0), "/bar/x");
    }

    #[test]
    fn what_a_pattern_matched_is_a_prefix_too() {
        let captures = Pattern::new("/v[0-9]+").unwrap().captures("/v12/x").unwrap();
        assert_eq!(Rewrite::Prefix("/api".to_owned()).apply("/v12/x", &captures), "/api/x");
    }

    #[test]
    fn a_template_replaces_the_whole_path() {
        assert_eq!(template("/$2", "/something(/|$)(.*)", "/something/new"), "/new");
        assert_eq!(template("/$2", "/something(/|$)(.*)", "/something"), "/");
        assert_eq!(template("/a/$1/b$9", "/x/([a-z]+)", "/x/abc/rest"), "/a/abc/b");
        assert_eq!(template("/fixed", "/x", "/x/rest"), "/fixed");
        assert_eq!(template("/i.php?p=$1", "/x/(.*)", "/x/abc"), "/i.php?p=abc");
        assert_eq!(template("$1", "/x/(.*)", "/x/abc"), "/abc");
    }

    #[test]
    fn other_variables_and_addresses_are_refused() {
        let error = |text| Rewrite::template(text).unwrap_err();
        assert_eq!(error("/$host/x"), TemplateError::Variable("/$host/x".to_owned()));
        assert_eq!(error("/x$"), TemplateError::Variable("/x$".to_owned()));
        assert_eq!(error("https://example.org/"), TemplateError::NoPath("https://example.org/".to_owned()));
    }
}
