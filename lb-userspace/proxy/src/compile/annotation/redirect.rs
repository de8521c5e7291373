//! Redirects.

use lb_model::annotation::ALLOW_HTTP;

use super::{reader::Reader, value};
use crate::config::{Location, Redirect, RedirectTo, TlsRedirect};

/// What becomes of plain HTTP.
pub(super) struct Tls {
    pub(super) redirect: TlsRedirect,
    pub(super) allow_http: bool,
}

pub(super) fn tls(reader: &mut Reader<'_>) -> Tls {
    let where_tls = reader.read("ssl-redirect", value::boolean).unwrap_or(true);
    let redirect = match (reader.is_set("force-ssl-redirect"), where_tls) {
        (true, _) => TlsRedirect::Always,
        (false, true) => TlsRedirect::WhereTls,
        (false, false) => TlsRedirect::Never,
    };
    Tls { redirect, allow_http: reader.read(ALLOW_HTTP, value::boolean).unwrap_or(true) }
}

pub(super) fn app_root(reader: &mut Reader<'_>) -> Option<String> {
    reader.read("app-root", value::path)
}

/// Where every request is redirected to. The temporal one wins, as in ingress-nginx.
pub(super) fn everything(reader: &mut Reader<'_>) -> Option<Redirect> {
    let permanent = redirect(reader, "permanent-redirect", "permanent-redirect-code", 301);
    redirect(reader, "temporal-redirect", "temporal-redirect-code", 302).or(permanent)
}

fn redirect(reader: &mut Reader<'_>, name: &str, code: &str, default: u16) -> Option<Redirect> {
    let location = reader.read(name, |text| Ok(Location::new(text)?));
    let status = reader.read(code, |text| value::number(text, 300, 308)).unwrap_or(default);
    location.map(|location| Redirect { status, to: RedirectTo::Location(location) })
}
