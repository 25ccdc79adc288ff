//! The empty objects that the templates of formation webhooks are tried with when they are saved.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::data::{field, pointer, structure};
use super::value::{Field, Value};

const TIME: &str = "time.Time";

fn embedded(name: &'static str, value: Value) -> Field {
    Field {
        embedded: true,
        ..field(name, value)
    }
}

fn text(name: &'static str) -> Field {
    field(name, Value::str(""))
}

fn optional(name: &'static str) -> Field {
    field(name, Value::StrPtr(None))
}

fn word(name: &'static str, kind: &'static str) -> Field {
    field(name, Value::Named(kind, "".into()))
}

fn raw(name: &'static str) -> Field {
    field(name, Value::Raw("".into()))
}

fn labels() -> Field {
    field("Labels", Value::StrMap(Rc::new(BTreeMap::new())))
}

fn trust() -> Field {
    let subjects = field("Subjects", Value::strings(Vec::<&str>::new()));
    field(
        "TrustDetails",
        pointer("webhook.TrustDetails", vec![subjects]),
    )
}

fn tenant() -> Field {
    let mapping = pointer(
        "model.BusinessTenantMapping",
        vec![
            text("ID"),
            text("Name"),
            text("ExternalTenant"),
            field("Parents", Value::strings(Vec::<&str>::new())),
            word("Type", "tenant.Type"),
            text("Provider"),
            word("Status", "tenant.Status"),
            field("Initialized", Value::Ptr(Err("bool"))),
            optional("LicenseType"),
        ],
    );
    let fields = vec![embedded("BusinessTenantMapping", mapping), labels()];
    field("Tenant", pointer("webhook.TenantWithLabels", fields))
}

fn application(name: &'static str) -> Field {
    let entity = pointer(
        "model.BaseEntity",
        vec![
            text("ID"),
            field("Ready", Value::Bool(false)),
            field("CreatedAt", Value::Ptr(Err(TIME))),
            field("UpdatedAt", Value::Ptr(Err(TIME))),
            field("DeletedAt", Value::Ptr(Err(TIME))),
            optional("Error"),
        ],
    );
    let application = pointer(
        "model.Application",
        vec![
            optional("ProviderName"),
            text("Name"),
            optional("Description"),
            field("Status", Value::Ptr(Err("model.ApplicationStatus"))),
            optional("HealthCheckURL"),
            optional("IntegrationSystemID"),
            optional("ApplicationTemplateID"),
            optional("SystemNumber"),
            optional("LocalTenantID"),
            optional("BaseURL"),
            optional("ApplicationNamespace"),
            raw("OrdLabels"),
            raw("CorrelationIDs"),
            text("Type"),
            optional("SystemStatus"),
            raw("Tags"),
            raw("DocumentationLabels"),
            embedded("BaseEntity", entity),
        ],
    );
    let fields = vec![embedded("Application", application), labels(), tenant()];
    field(name, pointer("webhook.ApplicationWithLabels", fields))
}

fn application_template(name: &'static str) -> Field {
    let template = pointer(
        "model.ApplicationTemplate",
        vec![
            text("ID"),
            text("Name"),
            optional("Description"),
            optional("ApplicationNamespace"),
            text("ApplicationInputJSON"),
            field("Placeholders", Value::list(Vec::new())),
            word("AccessLevel", "model.ApplicationTemplateAccessLevel"),
            field("Webhooks", Value::list(Vec::new())),
        ],
    );
    let fields = vec![
        embedded("ApplicationTemplate", template),
        labels(),
        tenant(),
        trust(),
    ];
    field(
        name,
        pointer("webhook.ApplicationTemplateWithLabels", fields),
    )
}

fn runtime() -> Field {
    let runtime = pointer(
        "model.Runtime",
        vec![
            text("ID"),
            text("Name"),
            optional("Description"),
            field("Status", Value::Ptr(Err("model.RuntimeStatus"))),
            optional("ApplicationNamespace"),
        ],
    );
    let fields = vec![embedded("Runtime", runtime), labels(), tenant(), trust()];
    field("Runtime", pointer("webhook.RuntimeWithLabels", fields))
}

fn runtime_context() -> Field {
    let fields = ["ID", "RuntimeID", "Key", "Value"].map(text).into();
    let context = pointer("model.RuntimeContext", fields);
    let fields = vec![embedded("RuntimeContext", context), labels(), tenant()];
    field(
        "RuntimeContext",
        pointer("webhook.RuntimeContextWithLabels", fields),
    )
}

fn formation() -> Field {
    let fields = vec![
        text("ID"),
        text("TenantID"),
        text("FormationTemplateID"),
        text("Name"),
        word("State", "model.FormationState"),
        raw("Error"),
        field("LastStateChangeTimestamp", Value::Ptr(Err(TIME))),
        field("LastNotificationSentTimestamp", Value::Ptr(Err(TIME))),
    ];
    field("Formation", pointer("model.Formation", fields))
}

fn assignment(name: &'static str) -> Field {
    const KIND: &str = "model.FormationAssignmentType";
    let fields = vec![
        text("ID"),
        text("FormationID"),
        text("TenantID"),
        text("Source"),
        word("SourceType", KIND),
        text("Target"),
        word("TargetType", KIND),
        text("State"),
        optional("Value"),
        optional("Error"),
    ];
    field(name, pointer("webhook.FormationAssignment", fields))
}

fn customer() -> Field {
    let fields = vec![
        text("CustomerID"),
        text("CostObjectID"),
        optional("AccountID"),
        optional("Path"),
    ];
    field(
        "CustomerTenantContext",
        pointer("webhook.CustomerTenantContext", fields),
    )
}

fn operation() -> Field {
    word("Operation", "model.FormationOperation")
}

pub(super) fn configuration_change() -> Value {
    structure(
        "webhook.FormationConfigurationChangeInput",
        vec![
            operation(),
            text("FormationID"),
            formation(),
            application_template("ApplicationTemplate"),
            application("Application"),
            runtime(),
            runtime_context(),
            customer(),
            assignment("Assignment"),
            assignment("ReverseAssignment"),
        ],
    )
}

pub(super) fn tenant_mapping() -> Value {
    structure(
        "webhook.ApplicationTenantMappingInput",
        vec![
            operation(),
            text("FormationID"),
            formation(),
            application_template("SourceApplicationTemplate"),
            application("SourceApplication"),
            application_template("TargetApplicationTemplate"),
            application("TargetApplication"),
            customer(),
            assignment("Assignment"),
            assignment("ReverseAssignment"),
        ],
    )
}

pub(super) fn lifecycle() -> Value {
    let fields = vec![operation(), formation(), customer()];
    structure("webhook.FormationLifecycleInput", fields)
}

pub(super) fn has_field(kind: &str, name: &str) -> bool {
    matches!(kind, "model.ApplicationStatus" | "model.RuntimeStatus")
        && matches!(name, "Condition" | "Timestamp")
}
