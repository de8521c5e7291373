//! Redirects that the configuration asks for.

use hyper::{Response, StatusCode};

use super::{answer, guard::Target};
use crate::{
    body::ResponseBody,
    config::{Redirect, Route, TlsRedirect},
};

/// The redirect to https; none where the route is served in the clear. The method and the body stay (308), as
/// ingress-nginx has it.
pub(super) fn to_https(route: &Route, target: &Target<'_>) -> Option<Response<ResponseBody>> {
    let wanted = match route.policy.tls_redirect {
        TlsRedirect::Always => true,
        TlsRedirect::WhereTls => route.tls,
        TlsRedirect::Never => false,
    };
    if !wanted || target.host.is_empty() {
        return None;
    }
    let location = format!("https://{}{}", target.host, target.path_and_query());
    answer::redirect(StatusCode::PERMANENT_REDIRECT, &location)
}

/// The answer of a route that only redirects.
pub(super) fn answer(redirect: &Redirect, target: &Target<'_>, is_secure: bool) -> Response<ResponseBody> {
    let scheme = if is_secure { "https" } else { "http" };
    let location = redirect.location(scheme, &target.host, &target.path_and_query());
    StatusCode::from_u16(redirect.status)
        .ok()
        .and_then(|status| answer::redirect(status, &location))
        .unwrap_or_else(|| answer::status(StatusCode::SERVICE_UNAVAILABLE))
}
