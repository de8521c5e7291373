//! Texts of others in messages of ours.

use std::borrow::Cow;

/// A text whose control characters are escaped, so that a message stays on its line whatever it quotes.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().flat_map(|c| {
        let (plain, escape) = if c.is_control() { (None, Some(c.escape_default())) } else { (Some(c), None) };
        plain.into_iter().chain(escape.into_iter().flatten())
    });
    Cow::Owned(escaped.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_characters_are_escaped() {
        assert_eq!(printable("na\u{ef}ve \"a\""), "na\u{ef}ve \"a\"");
        assert_eq!(printable("a\n\tb\u{1b}c"), "a\\n\\tb\\u{1b}c");
    }
}
