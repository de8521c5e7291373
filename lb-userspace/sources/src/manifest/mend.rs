//! What to do about YAML that the parser gives up on, where the mistake is a common one.

use super::document::Place;

/// A line of a mapping: `key: value`, perhaps behind dashes.
struct Entry<'a> {
    /// Characters before the key.
    indentation: usize,
    key: &'a str,
    value: &'a str,
}

impl<'a> Entry<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let mut rest = line.trim_start_matches(' ');
        while let Some(item) = rest.strip_prefix("- ") {
            rest = item.trim_start_matches(' ');
        }
        let (key, value) = rest.split_once(':')?;
        let is_key =
            key.starts_with(|c: char| c.is_alphanumeric()) && !key.contains([' ', '"', '\'', '{', '#']);
        let ends = value.is_empty() || value.starts_with(' ');
        let indentation = line.chars().count() - rest.chars().count();
        (is_key && ends).then(|| Self { indentation, key, value: value.trim() })
    }

    /// True where the value is complete on this line, so that nothing can stand below it.
    fn has_scalar(&self) -> bool {
        !self.value.is_empty() && !self.value.starts_with(['|', '>', '&', '!', '{', '[', '#'])
    }
}

/// The place of the mistake and its remedy, where the parser gave up on line `failed` of `text`, counted from one.
pub(super) fn find(text: &str, failed: u64) -> Option<(Place, String)> {
    let failed = usize::try_from(failed).ok()?;
    let lines = (1..).zip(text.lines()).take(failed);
    let content = lines.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let mut last = content.collect::<Vec<_>>().into_iter().rev();
    let (number, line) = last.next()?;
    let (_, above) = last.next()?;
    let (entry, above) = (Entry::of(line)?, Entry::of(above)?);
    if entry.indentation <= above.indentation || !above.has_scalar() {
        return None;
    }
    let place = Place { line: number, column: entry.indentation as u64 + 1 };
    let Entry { key, .. } = above;
    let message =
        format!("{}: is indented below {key}, which has a value already; align it with {key}", entry.key);
    Some((place, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, failed: u64) -> Option<(u64, u64, String)> {
        find(text, failed).map(|(place, message)| (place.line, place.column, message))
    }

    #[test]
    fn a_key_below_a_scalar_is_to_be_aligned() {
        let expected =
            "backend: is indented below path, which has a value already; align it with path".to_owned();
        let text = "paths:\n- path: /a\n   backend:\n     x: 1\n";
        assert_eq!(message(text, 3), Some((3, 4, expected.clone())));
        assert_eq!(message("- - path: \"/a\"\n\n  # why\n      backend: {}\n", 4), Some((4, 7, expected)));
    }

    #[test]
    fn other_mistakes_are_left_to_the_parsers_words() {
        for text in [
            "path: /a\nbackend:\n",
            "path:\n  backend:\n",
            "path: |\n  backend:\n",
            "path: &a\n  backend:\n",
            "path: [\n  backend:\n",
            "path /a\n  backend:\n",
            "path: /a\n  and more\n",
            "path: /a\n  http://x\n",
            "backend:\n",
            "",
        ] {
            assert_eq!(message(text, 2), None, "{text:?}");
        }
        assert_eq!(message("a: 1\n", 9), None, "a line beyond the end");
    }
}
