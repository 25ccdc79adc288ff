//! The input of a registration, read back as a literal of GraphQL the way Compass writes it:
//! texts are put between quotes as they are, line breaks and tabs are left out.

use serde_json::Value as Json;

use super::input::{ApplicationRegisterInput, WebhookInput};
use super::scalar::enum_name;
use crate::registry::Error;

/// The literal of the input that is kept as JSON text.
pub(crate) fn application_input(json: &str) -> Result<String, Error> {
    let input: ApplicationRegisterInput = serde_json::from_str(json)
        .map_err(|error| Error::Refused(format!("the template's input cannot be read: {error}")))?;
    Ok(application(&input).replace(['\t', '\n'], ""))
}

fn application(input: &ApplicationRegisterInput) -> String {
    let ApplicationRegisterInput {
        name,
        provider_name,
        description,
        labels,
        webhooks,
        health_check_url,
        base_url,
        application_namespace,
        integration_system_id,
        status_condition,
        local_tenant_id,
    } = input;
    let mut members = Members::default();
    members.text("name", Some(name));
    members.text("providerName", provider_name.as_ref());
    members.text("description", description.as_ref());
    members.text("localTenantID", local_tenant_id.as_ref());
    if let Some(Json::Object(labels)) = labels.as_ref().map(|labels| &labels.0)
        && !labels.is_empty()
    {
        members.raw("labels", Some(value(&Json::Object(labels.clone()))));
    }
    let webhooks = webhooks.as_deref().unwrap_or_default();
    if !webhooks.is_empty() {
        let webhooks: Vec<_> = webhooks.iter().map(webhook).collect();
        members.raw("webhooks", Some(format!("[ {} ]", webhooks.join(", "))));
    }
    members.text("healthCheckURL", health_check_url.as_ref());
    members.text(
        "integrationSystemID",
        integration_system_id.as_ref().map(|id| &id.0),
    );
    members.raw("statusCondition", status_condition.map(enum_name));
    members.text("baseUrl", base_url.as_ref());
    members.text("applicationNamespace", application_namespace.as_ref());
    members.literal()
}

fn webhook(input: &WebhookInput) -> String {
    let WebhookInput {
        kind,
        url,
        mode,
        version,
        correlation_id_key,
        retry_interval,
        timeout,
        url_template,
        input_template,
        header_template,
        output_template,
        status_template,
    } = input;
    let mut members = Members::default();
    members.raw("type", Some(enum_name(*kind)));
    members.text("url", url.as_ref());
    members.raw("mode", mode.map(enum_name));
    members.text("version", version.as_ref());
    members.text("correlationIdKey", correlation_id_key.as_ref());
    members.raw(
        "retryInterval",
        retry_interval.map(|seconds| seconds.to_string()),
    );
    members.raw("timeout", timeout.map(|seconds| seconds.to_string()));
    members.text("urlTemplate", url_template.as_ref());
    members.text("inputTemplate", input_template.as_ref());
    members.text("headerTemplate", header_template.as_ref());
    members.text("outputTemplate", output_template.as_ref());
    members.text("statusTemplate", status_template.as_ref());
    members.literal()
}

#[derive(Default)]
struct Members(String);

impl Members {
    fn text(&mut self, name: &str, text: Option<&String>) {
        self.raw(name, text.map(|text| format!("\"{text}\"")));
    }

    fn raw(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.0.extend([name, ": ", value.as_str(), ","]);
        }
    }

    fn literal(self) -> String {
        format!("{{{}}}", self.0)
    }
}

fn value(value: &Json) -> String {
    match value {
        Json::Object(members) => {
            let mut keys: Vec<_> = members.keys().collect();
            keys.sort();
            let members = keys
                .into_iter()
                .map(|key| format!("{key}:{},", self::value(&members[key])));
            format!("{{{}}}", members.collect::<String>())
        }
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(self::value).collect();
            format!("[{}]", items.join(","))
        }
        Json::String(_) => {
            let text = value.to_string();
            text.replace('<', "\\u003c")
                .replace('>', "\\u003e")
                .replace('&', "\\u0026")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_reads_back_as_a_literal_with_its_members_in_order() {
        let json = r#"{"baseUrl":"https://b","name":"{{name}}","labels":{"b":[1,{"x":null}],"a":"<&>"},
            "webhooks":[{"type":"CONFIGURATION_CHANGED","url":"https://h","timeout":5},
            {"type":"REGISTER_APPLICATION","mode":"ASYNC"}],"description":"line\nbreak"}"#;
        assert_eq!(
            application_input(json).unwrap(),
            "{name: \"{{name}}\",description: \"linebreak\",\
             labels: {a:\"\\u003c\\u0026\\u003e\",b:[1,{x:null,}],},\
             webhooks: [ {type: CONFIGURATION_CHANGED,url: \"https://h\",timeout: 5,}, \
             {type: REGISTER_APPLICATION,mode: ASYNC,} ],baseUrl: \"https://b\",}"
        );
    }
}
