//! What may be told of an exchange: never a secret, and never more than a little.
//!
//! Addresses lose their user and password and the values of parameters that look like secrets;
//! texts lose the values of keys that do, and every secret that the request itself carried, since
//! systems like to echo. Bounded to what the ledger keeps.

use std::borrow::Cow;

use binnacle_domain::operation::MAX_TEXT_BYTES;
use regex::{Captures, Regex};
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use url::Url;

const HIDDEN: &str = "***";
/// Names of headers, parameters and keys whose values are nobody's business.
const NAMES: &str = r"pass(?:word|wd|phrase|code)|token|secret|authorization|api[-_]?key|private[-_]?key|credential|cookie|signature";
/// Shorter ones would blot out half the text.
const MIN_SECRET_BYTES: usize = 6;
/// What is looked at of a text that is no JSON: enough that nothing which is kept was cut in two.
const MAX_SCANNED_BYTES: usize = 16 * MAX_TEXT_BYTES;

/// Knows secrets by their names.
pub(crate) struct Redactor {
    name: Regex,
    pair: Regex,
    scheme: Regex,
}

impl Redactor {
    pub(crate) fn new() -> Result<Self, regex::Error> {
        let pair = format!(
            r#"(?i)([\w.-]*(?:{NAMES})[\w.-]*\\?["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"?|\\"(?:[^"\\]|\\[^"])*|(?:bearer|basic)\s+[^\s",;&<}}\]]+|[^\s",;&<}}\]]+)"#
        );
        Ok(Self {
            name: Regex::new(&format!("(?i){NAMES}"))?,
            pair: Regex::new(&pair)?,
            scheme: Regex::new(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")?,
        })
    }

    /// The secrets that a request carries, longest first.
    pub(crate) fn secrets(&self, url: &Url, headers: &HeaderMap) -> Vec<String> {
        let is_secret = |name: &HeaderName| self.name.is_match(name.as_str());
        let carried = headers.iter().filter(|(name, _)| is_secret(name));
        let mut secrets: Vec<String> = carried
            .filter_map(|(_, value)| value.to_str().ok())
            .flat_map(|value| [Some(value), value.split_once(' ').map(|(_, rest)| rest)])
            .flatten()
            .map(str::to_owned)
            .collect();
        secrets.extend(url.password().map(str::to_owned));
        let parameters = url.query_pairs();
        secrets.extend(
            parameters
                .filter(|(name, _)| self.name.is_match(name))
                .map(|(_, value)| value.into_owned()),
        );
        secrets.retain(|secret| secret.len() >= MIN_SECRET_BYTES);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// Method and address.
    pub(crate) fn line(&self, method: &str, url: &Url) -> String {
        bounded(&format!("{method} {}", self.address(url)))
    }

    /// An address without user, password, fragment and secret parameters.
    pub(crate) fn address(&self, url: &Url) -> String {
        let mut shown = url.clone();
        // Only addresses without a host refuse these, and they have neither.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_fragment(None);
        let Some(query) = url.query() else {
            return shown.into();
        };
        let parameters: Vec<Cow<'_, str>> = query
            .split('&')
            .map(|parameter| match parameter.split_once('=') {
                Some((name, _)) if self.name.is_match(name) => format!("{name}={HIDDEN}").into(),
                _ => parameter.into(),
            })
            .collect();
        shown.set_query(Some(&parameters.join("&")));
        shown.into()
    }

    /// The beginning of an answer's body.
    pub(crate) fn body(&self, body: &[u8], secrets: &[String]) -> String {
        let text = String::from_utf8_lossy(body);
        if !self.name.is_match(&text) {
            return self.text(&text, secrets);
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(mut value) => {
                self.hide_values(&mut value);
                self.text(&value.to_string(), secrets)
            }
            Err(_) => self.text(&text, secrets),
        }
    }

    /// A text of ours or of somebody else.
    pub(crate) fn text(&self, text: &str, secrets: &[String]) -> String {
        let mut shown = Cow::Borrowed(beginning(text, MAX_SCANNED_BYTES));
        for secret in secrets {
            if shown.contains(secret.as_str()) {
                shown = shown.replace(secret.as_str(), HIDDEN).into();
            }
        }
        if self.name.is_match(&shown) {
            let hide = |pair: &Captures<'_>| {
                if &pair[2] == "null" {
                    return pair[0].to_owned();
                }
                let quote = if pair[2].starts_with('"') { "\"" } else { "" };
                format!("{}{quote}{HIDDEN}{quote}", &pair[1])
            };
            shown = self.pair.replace_all(&shown, hide).into_owned().into();
        }
        let shown = self.scheme.replace_all(&shown, format!("$1 {HIDDEN}"));
        bounded(&shown)
    }

    fn hide_values(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    if self.name.is_match(name) && !value.is_null() {
                        *value = HIDDEN.into();
                    } else {
                        self.hide_values(value);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide_values(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn beginning(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// At most what the ledger keeps, and without zero bytes, which not every database takes.
fn bounded(text: &str) -> String {
    let text = &*text.replace('\0', "\u{fffd}");
    if text.len() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    let mark = "…";
    format!("{}{mark}", beginning(text, MAX_TEXT_BYTES - mark.len()))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{AUTHORIZATION, HeaderValue};

    use super::*;

    fn redactor() -> Redactor {
        Redactor::new().unwrap()
    }

    #[test]
    fn an_address_loses_its_user_and_secret_parameters() {
        let url = "http://me:mine@host:8080/a?x=1&access_token=abc&y=%20#f"
            .parse()
            .unwrap();
        assert_eq!(
            redactor().line("GET", &url),
            "GET http://host:8080/a?x=1&access_token=***&y=%20"
        );
    }

    #[test]
    fn values_of_secret_keys_are_hidden_at_any_depth() {
        let body =
            br#"{"a":[{"clientSecret":{"v":"x"}}],"password":"p\"q","tokens":null,"ok":"yes"}"#;
        assert_eq!(
            redactor().body(body, &[]),
            r#"{"a":[{"clientSecret":"***"}],"ok":"yes","password":"***","tokens":null}"#
        );
    }

    #[test]
    fn secrets_in_what_is_no_json_are_hidden_too() {
        let redactor = redactor();
        for (text, shown) in [
            ("password=abc; x", "password=***; x"),
            (r#"{"token": "a\"b", cut"#, r#"{"token": "***", cut"#),
            (r#"{"token": "never ends"#, r#"{"token": "***""#),
            ("Authorization: Bearer abc.def", "Authorization: ***"),
            ("got Bearer abcdefgh there", "got Bearer *** there"),
            ("nothing to hide", "nothing to hide"),
        ] {
            assert_eq!(redactor.body(text.as_bytes(), &[]), shown);
        }
    }

    #[test]
    fn what_the_request_carried_is_hidden_wherever_it_is_echoed() {
        let redactor = redactor();
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic dTpw1234"));
        let url = "http://u:hunter22@h/?api_key=k-123456".parse().unwrap();
        let secrets = redactor.secrets(&url, &headers);
        assert_eq!(
            redactor.body(br#"{"echo":"dTpw1234, hunter22 and k-123456"}"#, &secrets),
            r#"{"echo":"***, *** and ***"}"#
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let shown = redactor().text(&"ä".repeat(MAX_TEXT_BYTES), &[]);
        assert!(shown.len() <= MAX_TEXT_BYTES && shown.ends_with("ä…"));
    }
}
