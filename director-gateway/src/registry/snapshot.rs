//! An application as webhook templates see it.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use sea_orm::prelude::DateTimeUtc;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::application;

/// A time as clients see it: whole seconds, UTC.
pub fn timestamp(time: DateTimeUtc) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// What an operation's webhooks are rendered from: the application, the tenant and the headers of
/// the request, without those that carry credentials.
pub fn request_object(
    application: &application::Model,
    tenant: Uuid,
    headers: &HeaderMap,
) -> String {
    json!({
        "Application": keys(application),
        "TenantID": tenant,
        "Headers": first_values(headers),
    })
    .to_string()
}

fn keys(application: &application::Model) -> Json {
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
    json!({
        "id": id,
        "name": name,
        "providerName": provider_name,
        "integrationSystemID": integration_system_id,
        "applicationTemplateID": application_template_id,
        "description": description,
        "status": { "condition": status_condition, "timestamp": timestamp(*status_timestamp) },
        "healthCheckURL": health_check_url,
        "systemNumber": system_number,
        "localTenantID": local_tenant_id,
        "systemStatus": system_status,
        "baseUrl": base_url,
        "applicationNamespace": application_namespace,
        "ready": ready,
        "createdAt": timestamp(*created_at),
        "updatedAt": updated_at.map(timestamp),
        "deletedAt": deleted_at.map(timestamp),
        "error": error,
    })
}

fn first_values(headers: &HeaderMap) -> Map<String, Json> {
    let secret = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];
    let mut values = Map::new();
    for name in headers.keys().filter(|name| !secret.contains(name)) {
        if let Some(value) = headers.get(name) {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            values.insert(canonical(name.as_str()), Json::from(value));
        }
    }
    values
}

/// A header's name with the first letter and those behind a dash in upper case.
fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper { c.to_ascii_uppercase() } else { c };
            upper = c == '-';
            c
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
