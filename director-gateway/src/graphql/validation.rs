//! Rules of inputs, worded as Compass words them.

use std::collections::BTreeMap;
use std::fmt;

use binnacle_domain::webhook::{Invalid, go_url};

use crate::registry::Error;
use crate::registry::label::Labels;

/// What is wrong with the fields of an input, by their names.
#[derive(Debug, Default)]
pub(crate) struct Faults(BTreeMap<String, Fault>);

/// What is wrong with one field.
#[derive(Debug)]
pub(crate) enum Fault {
    Text(String),
    Nested(Faults),
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, fault)) in self.0.iter().enumerate() {
            let separator = if at > 0 { "; " } else { "" };
            match fault {
                Fault::Text(text) => write!(formatter, "{separator}{name}: {text}")?,
                Fault::Nested(faults) => write!(formatter, "{separator}{name}: ({faults})")?,
            }
        }
        formatter.write_str(".")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Nested(faults) => faults.fmt(formatter),
        }
    }
}

impl From<&str> for Fault {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Invalid> for Fault {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::Fields(fields) => {
                let faults = fields
                    .into_iter()
                    .map(|(name, text)| (name.to_owned(), text.into()));
                Self::Nested(Faults(faults.collect()))
            }
            reason @ Invalid::Reason(_) => Self::Text(reason.to_string()),
        }
    }
}

impl Faults {
    /// Notes what is wrong with a field, if anything is.
    pub(crate) fn check<F: Into<Fault>>(&mut self, field: impl Into<String>, rule: Result<(), F>) {
        if let Err(fault) = rule {
            self.0.insert(field.into(), fault.into());
        }
    }

    /// Fails if anything is wrong.
    pub(crate) fn nested(self) -> Result<(), Fault> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Fault::Nested(self))
        }
    }

    /// Fails if anything is wrong with the input.
    pub(crate) fn of(self, input: &'static str) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let fields = self
            .0
            .iter()
            .map(|(name, fault)| format!("{name}={fault}"))
            .collect();
        Err(Error::InvalidFields { input, fields })
    }
}

/// The answer to a webhook that is refused.
pub(crate) fn refused_webhook(invalid: Invalid) -> Error {
    match invalid {
        Invalid::Reason(reason) => Error::InvalidData(reason),
        Invalid::Fields(fields) => Error::InvalidFields {
            input: "WebhookInput",
            fields: fields
                .iter()
                .map(|(name, text)| format!("{name}={text}"))
                .collect(),
        },
    }
}

pub(crate) fn required(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("cannot be blank")
    } else {
        Ok(())
    }
}

/// At most `max` characters.
pub(crate) fn at_most(max: usize, text: Option<&str>) -> Result<(), String> {
    if text.is_some_and(|text| text.chars().count() > max) {
        return Err(format!("the length must be no more than {max}"));
    }
    Ok(())
}

/// From 1 to `max`, of what `length` counts; nothing at all passes.
pub(crate) fn from_one_to(max: usize, length: usize) -> Result<(), String> {
    if length > max {
        return Err(format!("the length must be between 1 and {max}"));
    }
    Ok(())
}

pub(crate) fn printable_ascii(text: &str) -> Result<(), &'static str> {
    if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Ok(());
    }
    Err("must contain printable ASCII characters only")
}

/// A name that is required, of printable characters, at most 100 of them.
pub(crate) fn template_name(name: &str) -> Result<(), Fault> {
    required(name)?;
    printable_ascii(name)?;
    Ok(from_one_to(100, name.len())?)
}

/// A URL with a scheme of the web.
pub(crate) fn url(text: Option<&str>) -> Result<(), Fault> {
    let Some(text) = text else {
        return Ok(());
    };
    let schemes = [
        "ftp://", "tcp://", "udp://", "ws://", "wss://", "http://", "https://",
    ];
    if !schemes.iter().any(|scheme| text.contains(scheme)) || !go_url::is_url(text) {
        return Err("must be a valid URL".into());
    }
    Ok(at_most(256, Some(text))?)
}

/// A key of letters, digits and underscores.
pub(crate) fn label_key(key: &str) -> Result<(), &'static str> {
    required(key)?;
    if key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err("must be in a valid format")
}

pub(crate) fn label_keys(labels: &Labels) -> Result<(), Fault> {
    let mut faults = Faults::default();
    for key in labels.keys() {
        faults.check(key.as_str(), label_key(key));
    }
    faults.nested()
}

/// A name of a DNS subdomain that does not start with a digit.
pub(crate) fn dns_name(name: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "[a lowercase RFC 1123 subdomain must consist of lower case \
        alphanumeric characters, '-' or '.', and must start and end with an alphanumeric \
        character (e.g. 'example.com', regex used for validation is \
        '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')]";
    required(name)?;
    if name.len() > 36 {
        return Err("must be no more than 36 characters".into());
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("cannot start with digit".into());
    }
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |part: &str| {
        part.starts_with(is_alphanumeric)
            && part.ends_with(is_alphanumeric)
            && part.chars().all(|c| is_alphanumeric(c) || c == '-')
    };
    if name.split('.').all(is_label) {
        Ok(())
    } else {
        Err(EXPECTED.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_a_sorted_list_and_nest_in_brackets() {
        let mut inner = Faults::default();
        inner.check("name", required(""));
        let mut faults = Faults::default();
        faults.check("0", inner.nested());
        let mut outer = Faults::default();
        outer.check("placeholders", faults.nested());
        outer.check("description", at_most(1, Some("ab")));
        let error = outer.of("Input").unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid Input: description=the length must be no more than 1; \
             placeholders=0: (name: cannot be blank.)."
        );
    }

    #[test]
    fn a_dns_name_is_lower_case_and_does_not_start_with_a_digit() {
        for good in ["a", "a-b", "a.b-c", "a1"] {
            assert!(dns_name(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "1a", "-a", "a-", "a..b", "a_b", &"p".repeat(37)] {
            assert!(dns_name(bad).is_err(), "{bad}");
        }
    }
}
