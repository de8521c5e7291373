//! What everything that sluice-ingress sends must be, whatever it was sent: of one meaning to any reader.

use super::message::Message;

/// Fields that concern one connection only (RFC 9110 §7.6.1), one that CGI takes for something else, one that clients
/// forge, and one that a row has `Connection` name.
const NEVER: [&str; 9] = [
    "connection",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "proxy",
    "expect",
    "http2-settings",
    "forwarded",
    "x-secret-hop",
];

/// What is wrong with a message.
pub(super) fn faults(message: &Message) -> Vec<&'static str> {
    let all = request_line(message).into_iter().chain(syntax(message)).chain(length(message));
    let all = all.chain(connection(message)).chain(own_fields(message));
    all.filter_map(|(is_wrong, what)| is_wrong.then_some(what)).collect()
}

/// Whether something is wrong, and what that would be.
type Check = (bool, &'static str);

fn request_line(message: &Message) -> [Check; 3] {
    let line = message.line();
    let words: Vec<_> = line.split(' ').collect();
    let is_plain = matches!(words[..], [method, target, "HTTP/1.1"]
        if is_token(method) && target.starts_with('/') && !target.contains('#'));
    let path = words.get(1).and_then(|target| target.split('?').next()).unwrap_or_default();
    [
        (!is_plain, "sent a request line that is not METHOD /path HTTP/1.1"),
        (path.contains("//"), "sent an empty segment"),
        (path.split('/').any(|segment| matches!(segment, "." | "..")), "sent a dot segment"),
    ]
}

fn syntax(message: &Message) -> [Check; 3] {
    let head = String::from_utf8_lossy(&message.head).replace("\r\n", "");
    let fields = message.all_fields();
    [
        (head.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()), "sent control characters"),
        (fields.iter().any(|(name, _)| !is_token(name)), "sent a name that is none"),
        (fields.iter().any(|(name, _)| name.contains('_')), "sent a name with an underscore"),
    ]
}

fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

fn length(message: &Message) -> [Check; 3] {
    let (lengths, codings) = (message.fields("content-length"), message.fields("transfer-encoding"));
    let is_number = |length: &String| length.bytes().all(|byte| byte.is_ascii_digit());
    [
        (lengths.len() + codings.len() > 1, "sent more than one length"),
        (!lengths.iter().all(is_number), "sent a length that is none"),
        (codings.iter().any(|coding| coding != "chunked"), "sent a coding that is not chunked"),
    ]
}

fn connection(message: &Message) -> [Check; 2] {
    let is_websocket = message.line().starts_with("GET ")
        && message.fields("connection") == ["upgrade"]
        && message.fields("upgrade") == ["websocket"];
    let is_allowed = |name: &str| is_websocket && matches!(name, "connection" | "upgrade");
    let is_sent = |name: &&str| !is_allowed(name) && !message.fields(name).is_empty();
    [
        (NEVER.iter().any(is_sent), "sent a field of another connection, or Forwarded"),
        (message.fields("te").iter().any(|coding| coding != "trailers"), "sent a TE other than trailers"),
    ]
}

/// What only the proxy itself may say, once.
fn own_fields(message: &Message) -> [Check; 3] {
    let host = message.fields("host");
    let own = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "8080"),
    ];
    // HTTP/1.0 may name no host, and HTTP/1.1 has to say so (RFC 9112 §3.2).
    let asked: Vec<_> = host.iter().filter(|host| !host.is_empty()).cloned().collect();
    [
        (host.len() != 1, "sent no Host, or several"),
        (own.iter().any(|(name, value)| message.fields(name) != [*value]), "sent a forged origin"),
        (message.fields("x-forwarded-host") != asked, "sent an X-Forwarded-Host other than Host"),
    ]
}
