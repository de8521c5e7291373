//! Secrets taken out of text: nothing that is collected should hold any, but logs say what they are told.

use std::borrow::Cow;

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";
/// Words before a value that is secret, in lower case.
const KEYS: [&str; 15] = [
    "password",
    "passwd",
    "token",
    "client-key-data",
    "authorization",
    "api-key",
    "api_key",
    "apikey",
    "secret-key",
    "secret_key",
    "client-secret",
    "client_secret",
    "access-key",
    "access_key",
    "signature",
];

/// The text without private keys, bearer tokens, passwords in URLs and values of telling names.
pub(super) fn redact(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let begins_key = |line: &&str| line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
    let ends_key = |line: &&str| line.contains("-----END") && line.contains("PRIVATE KEY");
    // The end of a file may begin within a key.
    let mut in_key =
        text.lines().find(|line| begins_key(line) || ends_key(line)).is_some_and(|line| !begins_key(&line));
    if in_key {
        redacted.push_str(REDACTED);
        redacted.push('\n');
    }
    for line in text.split_inclusive('\n') {
        let begins = begins_key(&line);
        if begins && !in_key {
            redacted.push_str(REDACTED);
            redacted.push('\n');
        }
        in_key |= begins;
        if !in_key {
            redacted.push_str(&redact_line(line));
        }
        // Also where a log has put the whole key on one line.
        in_key &= !ends_key(&line);
    }
    redacted
}

fn redact_line(line: &str) -> Cow<'_, str> {
    let mut line = Cow::Borrowed(line);
    for key in KEYS.into_iter().chain(["bearer"]) {
        let mut from = 0;
        while let Some(value) = value_after(&line, key, from) {
            let mut owned = line.into_owned();
            owned.replace_range(value.clone(), REDACTED);
            from = value.start + REDACTED.len();
            line = owned.into();
        }
    }
    without_password(line)
}

/// Where the value of `key` stands, behind a separator.
fn value_after(line: &str, key: &str, from: usize) -> Option<std::ops::Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut at = from;
    loop {
        let end_of_key = at + lower.get(at..)?.find(key)? + key.len();
        let rest = &line[end_of_key..];
        let separators = rest.len() - rest.trim_start_matches(['"', '\'', '=', ':', ' ', '\\']).len();
        let start = end_of_key + separators;
        let length = length_of_value(&rest[..separators], &line[start..]);
        let value = &line[start..start + length];
        let scheme = matches!(value.to_ascii_lowercase().as_str(), "bearer" | "basic");
        if separators > 0 && length > 0 && value != REDACTED && !scheme {
            // `token = x`, `token: x`, `Bearer x`; "tokens of a bucket" is prose.
            let told = key == "bearer" || rest[..separators].contains(['=', ':']);
            if told {
                return Some(start..start + length);
            }
        }
        at = end_of_key;
    }
}

/// How long the value is that `text` begins with: to the quote that was opened before it, or else to the next blank, quote,
/// comma or bracket.
fn length_of_value(separators: &str, text: &str) -> usize {
    let all = text.trim_end().len();
    if separators.ends_with("\\\"") {
        return text.find("\\\"").unwrap_or(all);
    }
    if let Some(quote) = separators.chars().next_back().filter(|letter| matches!(letter, '"' | '\'')) {
        let mut escaped = false;
        let closes = |letter: char| {
            let closes = letter == quote && !escaped;
            escaped = letter == '\\' && !escaped;
            closes
        };
        return text.find(closes).unwrap_or(all);
    }
    let is_end =
        |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | ',' | '}' | ')' | '\\');
    text.find(is_end).unwrap_or(all)
}

/// Each `scheme://user:password@host` without the password.
fn without_password(mut line: Cow<'_, str>) -> Cow<'_, str> {
    let mut from = 0;
    while let Some(start) = line[from..].find("://").map(|at| from + at + 3) {
        let authority = line[start..].split(['/', ' ', '"', '\n']).next().unwrap_or_default();
        let password = authority.rsplit_once('@').and_then(|(login, _)| {
            let (user, password) = login.split_once(':')?;
            let begin = start + user.len() + 1;
            Some(begin..begin + password.len())
        });
        if let Some(password) = password {
            let mut owned = line.into_owned();
            owned.replace_range(password, REDACTED);
            line = owned.into();
        }
        from = start;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_the_rest_stays() {
        for (text, expected) in [
            ("Authorization: Bearer abc.def-1\n", "Authorization: Bearer [redacted]\n"),
            ("{\"token\":\"abc\",\"name\":\"web\"}", "{\"token\":\"[redacted]\",\"name\":\"web\"}"),
            ("a password=hunter2 and Password: x9,", "a password=[redacted] and Password: [redacted],"),
            ("client-key-data: TFMwdA==\n", "client-key-data: [redacted]\n"),
            ("proxy http://me:pw@host:80/x", "proxy http://me:[redacted]@host:80/x"),
            (
                "to https://api:6443 by http://me:pw@proxy:3128",
                "to https://api:6443 by http://me:[redacted]@proxy:3128",
            ),
            ("\"path\":\"/cb?client_secret=a&b=c\",", "\"path\":\"/cb?client_secret=[redacted]\","),
            ("password: \"a \\\" b\" c", "password: \"[redacted]\" c"),
            ("{\"message\":\"password: \\\"a b\\\" c\"}", "{\"message\":\"password: \\\"[redacted]\\\" c\"}"),
            ("abc\n-----END PRIVATE KEY-----\nb\n", "[redacted]\nb\n"),
            (
                "a\n-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nb\n",
                "a\n[redacted]\nb\n",
            ),
            ("secret=\"default/one\" 5\n", "secret=\"default/one\" 5\n"),
            ("token buckets hold back answers\n", "token buckets hold back answers\n"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
