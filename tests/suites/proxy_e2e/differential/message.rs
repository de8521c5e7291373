//! A request as an endpoint sees it, read as RFC 9112 has it.

/// A request, or the beginning of one.
#[derive(Clone)]
pub(super) struct Message {
    /// Request line and fields, as they came.
    pub(super) head: Vec<u8>,
    /// Without the framing of chunks.
    pub(super) body: Vec<u8>,
    /// The endpoint has all of it, and would act upon it.
    pub(super) is_whole: bool,
}

pub(super) enum Parsed {
    /// A message, and how many bytes it has.
    Whole(Message, usize),
    Part {
        waits_for_continue: bool,
    },
}

impl Message {
    /// Reads the first message of some bytes.
    pub(super) fn parse(bytes: &[u8]) -> Parsed {
        let Some(end) = find(bytes, b"\r\n\r\n") else {
            return Parsed::Part { waits_for_continue: false };
        };
        let (head, rest) = bytes.split_at(end + 4);
        let mut message = Self { head: head.to_vec(), body: Vec::new(), is_whole: true };
        let is_chunked = message
            .fields("transfer-encoding")
            .iter()
            .any(|value| value.to_ascii_lowercase().contains("chunked"));
        let length = if is_chunked {
            chunks(rest, &mut message.body)
        } else {
            let length = message.fields("content-length").first().map_or(Some(0), |text| text.parse().ok());
            length.filter(|length| rest.len() >= *length).inspect(|length| {
                message.body = rest[..*length].to_vec();
            })
        };
        match length {
            Some(length) => Parsed::Whole(message, head.len() + length),
            None => Parsed::Part { waits_for_continue: message.fields("expect") == ["100-continue"] },
        }
    }

    /// What is left of a message that broke off.
    pub(super) const fn broken(head: Vec<u8>) -> Self {
        Self { head, body: Vec::new(), is_whole: false }
    }

    /// The request line.
    pub(super) fn line(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        head.split("\r\n").next().unwrap_or_default().to_owned()
    }

    /// The values of a field.
    pub(super) fn fields(&self, name: &str) -> Vec<String> {
        let named = self.all_fields().into_iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value).collect()
    }

    /// Names and values of all fields.
    pub(super) fn all_fields(&self) -> Vec<(String, String)> {
        let head = String::from_utf8_lossy(&self.head);
        let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }

    /// True where the proxy wants the connection to end after it.
    pub(super) fn is_last(&self) -> bool {
        self.fields("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// Reads chunks and trailers; returns how many bytes they are, none where they are not all there.
fn chunks(bytes: &[u8], body: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = &bytes[at..at + find(&bytes[at..], b"\r\n")?];
        let digits = std::str::from_utf8(line).ok()?.split(';').next()?;
        let length = usize::from_str_radix(digits.trim(), 16).ok()?;
        at += line.len() + 2;
        if length == 0 {
            // The trailers end with an empty line, which is the first where there are none.
            let end = if bytes[at..].starts_with(b"\r\n") { 2 } else { find(&bytes[at..], b"\r\n\r\n")? + 4 };
            return Some(at + end);
        }
        body.extend(bytes.get(at..at + length)?);
        at += length + 2;
        if at > bytes.len() {
            return None;
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
