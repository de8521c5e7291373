//! What everything that sluice-ingress sends must be, whatever it was sent: of one meaning to any reader.

use super::message::Message;

/// Fields that concern one connection only (RFC 9110 §7.6.1), one that CGI takes for something else, and one that a row
/// has `Connection` name.
const NEVER: [&str; 8] = [
    "connection",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "proxy",
    "expect",
    "http2-settings",
    "x-secret-hop",
];
/// What only the proxy itself may say, once.
const OWN: [&str; 6] =
    ["x-forwarded-for", "x-real-ip", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "host"];

/// What is wrong with a message.
pub(super) fn faults(message: &Message) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |is: bool, what: &str| {
        if is {
            faults.push(format!("sent on {what}"));
        }
    };
    let head = String::from_utf8_lossy(&message.head).replace("\r\n", "");
    fault(head.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()), "control characters");
    let line = message.line();
    let words: Vec<_> = line.split(' ').collect();
    let is_plain = matches!(words[..], [method, target, "HTTP/1.1"]
        if method.bytes().all(is_token) && target.starts_with('/') && !target.contains('#'));
    fault(!is_plain, "a request line that is not METHOD /path HTTP/1.1");
    let path = words.get(1).and_then(|target| target.split('?').next()).unwrap_or_default();
    fault(path.contains("//"), "an empty segment");
    fault(path.split('/').any(|segment| matches!(segment, "." | "..")), "a dot segment");
    let fields = message.all_fields();
    fault(
        fields.iter().any(|(name, _)| name.is_empty() || !name.bytes().all(is_token)),
        "a name that is none",
    );
    fault(fields.iter().any(|(name, _)| name.contains('_')), "a name with an underscore");
    let is_websocket = message.line().starts_with("GET ")
        && message.fields("connection") == ["upgrade"]
        && message.fields("upgrade") == ["websocket"];
    for name in NEVER.into_iter().filter(|name| !(is_websocket && matches!(*name, "connection" | "upgrade")))
    {
        fault(!message.fields(name).is_empty(), name);
    }
    // HTTP/1.0 may name no host, and HTTP/1.1 has to say so (RFC 9112 §3.2).
    let is_for_nobody = message.fields("host") == [""];
    for name in OWN.into_iter().filter(|name| !(is_for_nobody && *name == "x-forwarded-host")) {
        fault(message.fields(name).len() != 1, &format!("{name} {} times", message.fields(name).len()));
    }
    let (lengths, codings) = (message.fields("content-length"), message.fields("transfer-encoding"));
    fault(lengths.len() + codings.len() > 1, "more than one length");
    fault(
        lengths.iter().any(|length| !length.bytes().all(|byte| byte.is_ascii_digit())),
        "a length that is none",
    );
    fault(codings.iter().any(|coding| coding != "chunked"), "a coding that is not chunked");
    fault(message.fields("x-forwarded-for").iter().any(|from| from != "127.0.0.1"), "a forged address");
    faults
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
