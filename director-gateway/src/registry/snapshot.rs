//! An application as webhook templates see it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use sea_orm::prelude::DateTimeUtc;
use serde::Serialize;
use serde_json::value::{self, RawValue};
use uuid::Uuid;

use super::application;

/// A time as clients see it: whole seconds, UTC.
pub fn timestamp(time: DateTimeUtc) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// Whose keys templates know, in the order in which they are stored.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RequestObject<'a> {
    application: Snapshot<'a>,
    headers: &'a RawValue,
    #[serde(rename = "TenantID")]
    tenant: Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    application_namespace: Option<&'a str>,
    #[serde(rename = "applicationTemplateID")]
    application_template: Option<Uuid>,
    base_url: Option<&'a str>,
    created_at: String,
    deleted_at: Option<String>,
    description: Option<&'a str>,
    error: Option<&'a str>,
    #[serde(rename = "healthCheckURL")]
    health_check_url: Option<&'a str>,
    id: Uuid,
    #[serde(rename = "integrationSystemID")]
    integration_system: Option<Uuid>,
    #[serde(rename = "localTenantID")]
    local_tenant: Option<&'a str>,
    name: &'a str,
    provider_name: Option<&'a str>,
    ready: bool,
    status: Status<'a>,
    system_number: Option<&'a str>,
    system_status: Option<&'a str>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct Status<'a> {
    condition: &'a str,
    timestamp: String,
}

/// Most request objects have fewer bytes.
const USUAL_LENGTH: usize = 1024;

/// The headers of a request as JSON, without those that carry credentials.
pub struct Headers(Box<RawValue>);

impl From<&HeaderMap> for Headers {
    fn from(headers: &HeaderMap) -> Self {
        // All keys are strings, so that it cannot fail.
        let json = value::to_raw_value(&first_values(headers));
        Self(json.unwrap_or_default())
    }
}

/// What an operation's webhooks are rendered from, as JSON: the application, the tenant and the headers of
/// the request.
pub fn request_object(application: &application::Model, tenant: Uuid, headers: &Headers) -> String {
    let object = RequestObject {
        application: application.into(),
        headers: &headers.0,
        tenant,
    };
    // Growing to that takes longer than to write it.
    let mut json = Vec::with_capacity(USUAL_LENGTH);
    // All keys are strings, so that it cannot fail.
    let written = serde_json::to_writer(&mut json, &object);
    written.map_or_else(
        |_| String::new(),
        |()| String::from_utf8(json).unwrap_or_default(),
    )
}

impl<'a> From<&'a application::Model> for Snapshot<'a> {
    fn from(application: &'a application::Model) -> Self {
        let application::Model {
            id,
            tenant_id: _,
            name,
            normalised_name: _,
            system_number,
            local_tenant_id,
            base_url,
            provider_name,
            description,
            integration_system_id,
            application_template_id,
            health_check_url,
            application_namespace,
            system_status,
            ready,
            created_at,
            updated_at,
            deleted_at,
            error,
            status_condition,
            status_timestamp,
            operation_id: _,
            operation_type: _,
            revision: _,
        } = application;
        Self {
            application_namespace: application_namespace.as_deref(),
            application_template: *application_template_id,
            base_url: base_url.as_deref(),
            created_at: timestamp(*created_at),
            deleted_at: deleted_at.map(timestamp),
            description: description.as_deref(),
            error: error.as_deref(),
            health_check_url: health_check_url.as_deref(),
            id: *id,
            integration_system: *integration_system_id,
            local_tenant: local_tenant_id.as_deref(),
            name,
            provider_name: provider_name.as_deref(),
            ready: *ready,
            status: Status {
                condition: status_condition,
                timestamp: timestamp(*status_timestamp),
            },
            system_number: system_number.as_deref(),
            system_status: system_status.as_deref(),
            updated_at: updated_at.map(timestamp),
        }
    }
}

fn first_values(headers: &HeaderMap) -> BTreeMap<String, Cow<'_, str>> {
    let secret = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];
    let names = headers.keys().filter(|name| !secret.contains(name));
    let values = names.filter_map(|name| Some((name, headers.get(name)?)));
    values
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (canonical(name.as_str()), value)
        })
        .collect()
}

/// A header's name with the first letter and those behind a dash in upper case.
fn canonical(name: &str) -> String {
    let mut canonical = String::with_capacity(name.len());
    let mut upper = true;
    for c in name.chars() {
        canonical.push(if upper { c.to_ascii_uppercase() } else { c });
        upper = c == '-';
    }
    canonical
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn templates_know_an_application_by_the_names_that_compass_gave_its_fields() {
        let time = |text: &str| text.parse::<DateTimeUtc>().unwrap();
        let application = application::Model {
            id: Uuid::from_u128(1),
            tenant_id: Uuid::from_u128(2),
            name: "Shop".to_owned(),
            normalised_name: "shop".to_owned(),
            system_number: Some("n".to_owned()),
            local_tenant_id: Some("l".to_owned()),
            base_url: Some("b".to_owned()),
            provider_name: Some("p".to_owned()),
            description: Some("a \"shop\"".to_owned()),
            integration_system_id: Some(Uuid::from_u128(3)),
            application_template_id: Some(Uuid::from_u128(4)),
            health_check_url: Some("h".to_owned()),
            application_namespace: Some("ns".to_owned()),
            system_status: Some("s".to_owned()),
            ready: true,
            created_at: time("2026-01-02T03:04:05.678Z"),
            updated_at: Some(time("2026-01-03T03:04:05Z")),
            deleted_at: None,
            error: None,
            status_condition: "CONNECTED".to_owned(),
            status_timestamp: time("2026-01-04T03:04:05Z"),
            operation_id: Some(Uuid::from_u128(5)),
            operation_type: Some("Update".to_owned()),
            revision: 6,
        };
        let headers = HeaderMap::from_iter([(http::header::HOST, "here".parse().unwrap())]);
        let object = request_object(&application, application.tenant_id, &(&headers).into());
        let object: Value = serde_json::from_str(&object).unwrap();
        let expected = json!({
            "Application": {
                "id": "00000000-0000-0000-0000-000000000001",
                "name": "Shop",
                "providerName": "p",
                "integrationSystemID": "00000000-0000-0000-0000-000000000003",
                "applicationTemplateID": "00000000-0000-0000-0000-000000000004",
                "description": "a \"shop\"",
                "status": { "condition": "CONNECTED", "timestamp": "2026-01-04T03:04:05Z" },
                "healthCheckURL": "h",
                "systemNumber": "n",
                "localTenantID": "l",
                "systemStatus": "s",
                "baseUrl": "b",
                "applicationNamespace": "ns",
                "ready": true,
                "createdAt": "2026-01-02T03:04:05Z",
                "updatedAt": "2026-01-03T03:04:05Z",
                "deletedAt": null,
                "error": null,
            },
            "TenantID": "00000000-0000-0000-0000-000000000002",
            "Headers": { "Host": "here" },
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn headers_are_canonical_and_carry_no_credentials() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("client_user", "me"),
            ("x-request-id", "1"),
            ("authorization", "s"),
            ("cookie", "s"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let values = first_values(&headers);
        assert_eq!(
            values.keys().collect::<Vec<_>>(),
            ["Client_user", "X-Request-Id"]
        );
    }
}
