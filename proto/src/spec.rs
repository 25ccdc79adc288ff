//! What was asked for.

use binnacle_domain::{
    operation::{OperationId, OperationType, Resource, Spec},
    webhook::{Webhook, WebhookMode, WebhookType},
};

use crate::{
    Invalid,
    common::v1,
    value::{time_from, time_to, uuid_from},
};

impl From<Resource> for v1::Resource {
    fn from(Resource { kind, id }: Resource) -> Self {
        Self {
            r#type: kind,
            id: id.to_string(),
        }
    }
}

impl TryFrom<v1::Resource> for Resource {
    type Error = Invalid;

    fn try_from(v1::Resource { r#type, id }: v1::Resource) -> Result<Self, Invalid> {
        Ok(Self {
            kind: r#type,
            id: uuid_from("resource.id", &id)?,
        })
    }
}

impl From<OperationType> for v1::OperationType {
    fn from(operation_type: OperationType) -> Self {
        match operation_type {
            OperationType::Create => Self::Create,
            OperationType::Update => Self::Update,
            OperationType::Delete => Self::Delete,
        }
    }
}

impl TryFrom<v1::OperationType> for OperationType {
    type Error = Invalid;

    fn try_from(operation_type: v1::OperationType) -> Result<Self, Invalid> {
        match operation_type {
            v1::OperationType::Unspecified => Err(Invalid::missing("operation_type")),
            v1::OperationType::Create => Ok(Self::Create),
            v1::OperationType::Update => Ok(Self::Update),
            v1::OperationType::Delete => Ok(Self::Delete),
        }
    }
}

impl From<Webhook> for v1::Webhook {
    fn from(webhook: Webhook) -> Self {
        let Webhook {
            id,
            kind,
            mode,
            url,
            url_template,
            input_template,
            header_template,
            output_template,
            status_template,
            correlation_id_key,
            retry_interval,
            timeout,
        } = webhook;
        let mode = match mode {
            None => v1::WebhookMode::Unspecified,
            Some(WebhookMode::Sync) => v1::WebhookMode::Sync,
            Some(WebhookMode::Async) => v1::WebhookMode::Async,
            Some(WebhookMode::AsyncCallback) => v1::WebhookMode::AsyncCallback,
        };
        Self {
            id: id.to_string(),
            r#type: kind.as_str().to_owned(),
            mode: mode.into(),
            url,
            url_template,
            input_template,
            header_template,
            output_template,
            status_template,
            correlation_id_key,
            retry_interval_seconds: retry_interval,
            timeout_seconds: timeout,
        }
    }
}

impl TryFrom<v1::Webhook> for Webhook {
    type Error = Invalid;

    fn try_from(webhook: v1::Webhook) -> Result<Self, Invalid> {
        let v1::Webhook {
            id,
            r#type,
            mode,
            url,
            url_template,
            input_template,
            header_template,
            output_template,
            status_template,
            correlation_id_key,
            retry_interval_seconds,
            timeout_seconds,
        } = webhook;
        let mode = match v1::WebhookMode::try_from(mode) {
            Ok(v1::WebhookMode::Unspecified) => None,
            Ok(v1::WebhookMode::Sync) => Some(WebhookMode::Sync),
            Ok(v1::WebhookMode::Async) => Some(WebhookMode::Async),
            Ok(v1::WebhookMode::AsyncCallback) => Some(WebhookMode::AsyncCallback),
            Err(_) => {
                return Err(Invalid {
                    field: "webhook.mode",
                    reason: format!("{mode} is unknown"),
                });
            }
        };
        let kind = WebhookType::from_name(&r#type).ok_or_else(|| Invalid {
            field: "webhook.type",
            reason: format!("`{type}` is unknown"),
        })?;
        Ok(Self {
            id: uuid_from("webhook.id", &id)?,
            kind,
            mode,
            url,
            url_template,
            input_template,
            header_template,
            output_template,
            status_template,
            correlation_id_key,
            retry_interval: retry_interval_seconds,
            timeout: timeout_seconds,
        })
    }
}

impl From<Spec> for v1::OperationSpec {
    fn from(spec: Spec) -> Self {
        let Spec {
            id,
            operation_type,
            category,
            resource,
            tenant,
            correlation_id,
            webhooks,
            related_resources,
            request_object,
            traceparent,
            created_at,
        } = spec;
        Self {
            operation_id: id.to_string(),
            operation_type: v1::OperationType::from(operation_type).into(),
            operation_category: category,
            resource: Some(resource.into()),
            tenant_id: tenant.to_string(),
            correlation_id,
            webhooks: webhooks.into_iter().map(Into::into).collect(),
            related_resources: related_resources.into_iter().map(Into::into).collect(),
            request_object,
            traceparent,
            create_time: Some(time_to(created_at)),
        }
    }
}

impl TryFrom<v1::OperationSpec> for Spec {
    type Error = Invalid;

    fn try_from(spec: v1::OperationSpec) -> Result<Self, Invalid> {
        let v1::OperationSpec {
            operation_id,
            operation_type,
            operation_category,
            resource,
            tenant_id,
            correlation_id,
            webhooks,
            related_resources,
            request_object,
            traceparent,
            create_time,
        } = spec;
        let operation_type = v1::OperationType::try_from(operation_type)
            .map_err(|_| Invalid::missing("operation_type"))?;
        Ok(Self {
            id: OperationId(uuid_from("operation_id", &operation_id)?),
            operation_type: operation_type.try_into()?,
            category: operation_category,
            resource: resource
                .ok_or_else(|| Invalid::missing("resource"))?
                .try_into()?,
            tenant: uuid_from("tenant_id", &tenant_id)?,
            correlation_id,
            webhooks: webhooks
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            related_resources: related_resources
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            request_object,
            traceparent,
            created_at: time_from("create_time", create_time)?,
        })
    }
}
