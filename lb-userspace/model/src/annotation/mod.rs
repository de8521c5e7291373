//! The annotations of Ingress that Sluice knows: one table, from which the proxy judges what it reads and
//! `docs/annotations.md` is made.

mod table;

pub use self::table::THEMES;

/// The prefixes of annotations for Ingress; the first wins where an Ingress has a name under both.
pub const PREFIXES: [&str; 2] = ["nginx.ingress.kubernetes.io/", "ingress.kubernetes.io/"];

/// `kubernetes.io/ingress.class`: the class of an Ingress from before `spec.ingressClassName`.
pub const CLASS: &str = "kubernetes.io/ingress.class";

/// `kubernetes.io/ingress.allow-http`.
pub const ALLOW_HTTP: &str = "kubernetes.io/ingress.allow-http";

/// Annotations of one subject.
#[derive(Debug)]
pub struct Theme {
    /// Its title.
    pub title: &'static str,
    /// The annotations.
    pub annotations: &'static [Annotation],
}

/// One annotation, or a family of them.
#[derive(Debug)]
pub struct Annotation {
    /// What follows one of the [`PREFIXES`], or the whole key where that begins with `kubernetes.io/`. A `*` at one
    /// end stands for anything.
    pub name: &'static str,
    /// What it asks for.
    pub meaning: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What becomes of it.
    pub status: Status,
}

/// What becomes of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is done; a value that cannot be read is as good as none, and a warning.
    Supported,
    /// It is done, and guards something: with a value that cannot be read all paths of the Ingress answer 503.
    Guarding,
    /// Nothing is done, and nothing is lost by that: a warning.
    Ignored,
    /// It guards something and is not supported: unless switched off, all paths of the Ingress answer 503.
    Refused,
    /// It makes the Ingress part of another one, which is not supported: unless switched off, the Ingress is left out.
    LeftOut,
}

impl Status {
    /// As the documentation spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Guarding => "supported; 503 if unreadable",
            Self::Ignored => "ignored, with a warning",
            Self::Refused => "refused: 503",
            Self::LeftOut => "refused: the Ingress is left out",
        }
    }
}

/// What is known about an annotation by its name, as [`Annotation::name`] spells it.
pub fn find(name: &str) -> Option<&'static Annotation> {
    let all = || THEMES.iter().flat_map(|theme| theme.annotations);
    all()
        .find(|annotation| annotation.name == name)
        .or_else(|| all().find(|annotation| annotation.covers(name)))
}

impl Annotation {
    fn covers(&self, name: &str) -> bool {
        match (self.name.strip_prefix('*'), self.name.strip_suffix('*')) {
            (Some(end), _) => name.ends_with(end),
            (_, Some(begin)) => name.starts_with(begin),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_before_a_family() {
        let status = |name| find(name).map(|annotation| annotation.status);
        assert_eq!(status("rewrite-target"), Some(Status::Supported));
        assert_eq!(status("whitelist-source-range"), Some(Status::Guarding));
        assert_eq!(status("auth-tls-secret"), Some(Status::Refused));
        assert_eq!(status("server-snippet"), Some(Status::Refused));
        assert_eq!(status("canary-weight"), Some(Status::Ignored));
        assert_eq!(status("canary"), Some(Status::LeftOut));
        assert_eq!(status("no-such-thing"), None);
    }

    #[test]
    fn every_name_is_there_once() {
        let names: Vec<_> =
            THEMES.iter().flat_map(|theme| theme.annotations).map(|annotation| annotation.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), names.len());
    }
}
