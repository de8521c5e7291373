//! Licence expressions: <https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>.

/// True if the licences that `allowed` accepts are enough to use what is under `expression`.
/// An expression that cannot be read allows nothing.
pub(crate) fn permits(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    // Crates older than SPDX support write `MIT/Apache-2.0` for OR.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = any_of(&mut words, allowed);
    verdict == Some(true) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut verdict = all_of(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all_of(words, allowed)?;
    }
    Some(verdict)
}

fn all_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut verdict = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed)?;
    }
    Some(verdict)
}

fn one(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let verdict = any_of(words, allowed)?;
        return (words.next()? == ")").then_some(verdict);
    }
    let verdict = allowed(word);
    // An exception only ever permits more.
    if words.next_if_eq(&"WITH").is_some() {
        words.next()?;
    }
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(expression: &str) -> bool {
        permits(expression, &|licence| ["MIT", "ISC"].contains(&licence))
    }

    #[test]
    fn one_allowed_alternative_is_enough() {
        assert!(permitted("MIT"));
        assert!(permitted("Apache-2.0 OR MIT"));
        assert!(permitted("MIT/GPL-2.0-only"));
        assert!(permitted("Apache-2.0 WITH LLVM-exception OR MIT"));
        assert!(!permitted("GPL-2.0-only"));
    }

    #[test]
    fn all_of_a_conjunction_must_be_allowed() {
        assert!(permitted("MIT AND ISC"));
        assert!(!permitted("MIT AND GPL-2.0-only"));
        assert!(permitted("(MIT OR GPL-2.0-only) AND ISC"));
        assert!(!permitted("ISC AND (GPL-2.0-only OR Apache-2.0)"));
    }

    #[test]
    fn what_cannot_be_read_is_not_allowed() {
        for broken in ["", "(MIT", "MIT MIT", "MIT OR", "MIT)"] {
            assert!(!permitted(broken), "{broken}");
        }
    }
}
