//! core/v1 Secret. No message repeats what one holds.

use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use lb_model::ingress::TlsSecret;
use serde::Deserialize;
use serde_json::Value;

use super::{
    decode,
    field::{self, Finding, reason},
};

/// The type of Secrets with a certificate, and the keys of their parts (`core/v1` `SecretTypeTLS`, `TLSCertKey`,
/// `TLSPrivateKeyKey`).
const TLS: &str = "kubernetes.io/tls";
const CERTIFICATE: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(rename = "type")]
    secret_type: Option<String>,
}

/// The certificate and key, or nothing where the Secret is of another sort. What they are worth is judged where they
/// are used.
pub(super) fn translate(object: &Value) -> Result<Option<TlsSecret>, Finding> {
    let Head { metadata, secret_type } = decode(object)?;
    field::check_name(&metadata)?;
    let (certificate, key) = (value(object, CERTIFICATE)?, value(object, PRIVATE_KEY)?);
    let is_tls = secret_type.as_deref() == Some(TLS) || certificate.is_some() || key.is_some();
    Ok(is_tls
        .then(|| TlsSecret { certificate: certificate.unwrap_or_default(), key: key.unwrap_or_default() }))
}

/// The value behind a key. `stringData` overwrites `data`, as the API server has it.
fn value(object: &Value, key: &str) -> Result<Option<Vec<u8>>, Finding> {
    if let Some(text) = text(object, "stringData", key)? {
        return Ok(Some(text.to_owned().into_bytes()));
    }
    let Some(text) = text(object, "data", key)? else { return Ok(None) };
    // Line ends count for nothing, as in Go (encoding/base64).
    let text = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    match serde_json::from_value(Value::String(text)) {
        Ok(ByteString(bytes)) => Ok(Some(bytes)),
        Err(_) => {
            let message = "not base64; plain text belongs into stringData";
            Err(Finding::new(format!("data.{key}"), reason::UNDECODABLE, message))
        }
    }
}

fn text<'a>(object: &'a Value, field: &str, key: &str) -> Result<Option<&'a str>, Finding> {
    let values = match &object[field] {
        Value::Null => return Ok(None),
        Value::Object(values) => values,
        _ => {
            let message = "not a mapping of keys to text; write it as the Kubernetes API has it";
            return Err(Finding::new(field, reason::UNDECODABLE, message));
        }
    };
    match values.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => {
            let message = "not text; write it between quotes or as a block";
            Err(Finding::new(format!("{field}.{key}"), reason::UNDECODABLE, message))
        }
    }
}
