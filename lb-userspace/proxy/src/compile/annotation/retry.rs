//! How long endpoints are waited for, and when another is asked.

use std::collections::BTreeSet;

use super::{
    reader::Reader,
    value::{self, ValueError},
};
use crate::config::{NextUpstream, Retry, Timeouts};

pub(super) fn timeouts(reader: &mut Reader<'_>) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        connect: reader.read("proxy-connect-timeout", value::timeout).unwrap_or(default.connect),
        read: reader.read("proxy-read-timeout", value::timeout).unwrap_or(default.read),
        send: reader.read("proxy-send-timeout", value::timeout).unwrap_or(default.send),
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Retry {
    let default = Retry::default();
    let timeout = reader.read("proxy-next-upstream-timeout", value::seconds);
    Retry {
        on: reader.read("proxy-next-upstream", conditions).unwrap_or(default.on),
        tries: reader
            .read("proxy-next-upstream-tries", |text| value::number(text, 0, u32::MAX))
            .unwrap_or(default.tries),
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
    }
}

fn conditions(text: &str) -> Result<BTreeSet<NextUpstream>, ValueError> {
    if text == "off" {
        return Ok(BTreeSet::new());
    }
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let conditions: BTreeSet<_> = words.map(condition).collect::<Result<_, _>>()?;
    if conditions.is_empty() { Err(UNKNOWN) } else { Ok(conditions) }
}

const UNKNOWN: ValueError = ValueError::OneOf(
    "error, timeout, invalid_header, http_NNN, non_idempotent and off, with spaces between them",
);

fn condition(word: &str) -> Result<NextUpstream, ValueError> {
    match word {
        "error" => Ok(NextUpstream::Error),
        "timeout" => Ok(NextUpstream::Timeout),
        "invalid_header" => Ok(NextUpstream::InvalidHeader),
        "non_idempotent" => Ok(NextUpstream::NonIdempotent),
        _ => {
            let status = word.strip_prefix("http_").map(|status| value::number(status, 400, 599));
            status.unwrap_or(Err(UNKNOWN)).map(NextUpstream::Status).map_err(|_| UNKNOWN)
        }
    }
}
