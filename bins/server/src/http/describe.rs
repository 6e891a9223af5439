//! How an endpoint's parameters, body and responses are described: a builder over the utoipa types.
//!
//! Path, method, scope, errors and headers come from the endpoint table; a description holds only what the table
//! cannot know.

use serde_json::Value;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::{HeaderBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

/// The groups of operations in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Acts, turns and agents.
    Agents,
    /// Change plans.
    Plans,
    /// Requests that wait for a person.
    Approvals,
    /// The journal.
    Record,
    /// The policy.
    Policy,
    /// The model.
    Model,
    /// The service itself.
    Service,
}

impl Tag {
    /// All groups in the order of the document, each with a description.
    pub const ALL: [(Tag, &str); 7] = [
        (Tag::Agents, "Acts, turns and the state of agents."),
        (Tag::Plans, "Changes to the workspace, as patches for people to review."),
        (Tag::Approvals, "Requests that wait for the decision of a person."),
        (Tag::Record, "The journal, as a stream and in pages."),
        (Tag::Policy, "The rules that agents are subject to."),
        (Tag::Model, "The language model, behind the gates."),
        (Tag::Service, "Health, metrics, the kill switch."),
    ];

    /// The name in the document.
    pub fn as_str(self) -> &'static str {
        match self {
            Tag::Agents => "agents",
            Tag::Plans => "plans",
            Tag::Approvals => "approvals",
            Tag::Record => "record",
            Tag::Policy => "policy",
            Tag::Model => "model",
            Tag::Service => "service",
        }
    }
}

/// The name and schema of a component.
pub type NamedSchema = (String, RefOr<Schema>);

/// An operation without what the endpoint table says about it.
pub struct Description {
    /// Its group.
    pub tag: Tag,
    /// A line without a final period.
    pub summary: &'static str,
    /// More than the summary says; may be empty.
    pub details: &'static str,
    /// Parameters in the path, the query and the headers.
    pub parameters: Vec<Parameter>,
    /// The request body.
    pub body: Option<RequestBody>,
    /// Responses other than errors, by status.
    pub responses: Vec<(u16, Response)>,
    /// The schemas that body and responses refer to.
    pub schemas: Vec<NamedSchema>,
}

impl Description {
    /// An operation that takes and returns nothing yet.
    pub fn new(tag: Tag, summary: &'static str) -> Self {
        Self {
            tag,
            summary,
            details: "",
            parameters: Vec::new(),
            body: None,
            responses: Vec::new(),
            schemas: Vec::new(),
        }
    }

    /// More than the summary says.
    pub fn details(self, details: &'static str) -> Self {
        Self { details, ..self }
    }

    /// A segment of the path.
    pub fn path_parameter(mut self, name: &str, description: &str) -> Self {
        let parameter = parameter(name, ParameterIn::Path, description, Required::True);
        self.parameters.push(parameter.schema(Some(text(None))).build());
        self
    }

    /// The parameters of the query.
    pub fn query<P: IntoParams>(mut self) -> Self {
        self.parameters.extend(P::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// A header that the caller may send.
    pub fn header(mut self, name: &str, description: &str, pattern: Option<&str>) -> Self {
        let parameter = parameter(name, ParameterIn::Header, description, Required::False);
        self.parameters.push(parameter.schema(Some(text(pattern))).build());
        self
    }

    /// A header that holds the number of a row.
    pub fn row_header(mut self, name: &str, description: &str) -> Self {
        let parameter = parameter(name, ParameterIn::Header, description, Required::False);
        self.parameters.push(parameter.schema(Some(<u64>::schema())).build());
        self
    }

    /// A required body that rejects unknown fields.
    pub fn body<T: ToSchema>(self, example: Value) -> Self {
        self.any_body::<T>(example, Required::True).strict::<T>()
    }

    /// A body that may be missing; it rejects unknown fields.
    pub fn optional_body<T: ToSchema>(self, example: Value) -> Self {
        self.any_body::<T>(example, Required::False).strict::<T>()
    }

    /// A required body that passes unknown fields on.
    pub fn open_body<T: ToSchema>(mut self, example: Value) -> Self {
        collect::<T>(&mut self.schemas);
        self.any_body::<T>(example, Required::True)
    }

    fn any_body<T: ToSchema>(mut self, example: Value, required: Required) -> Self {
        let content = content(reference::<T>(), Some(example));
        self.body =
            Some(RequestBodyBuilder::new().content(JSON, content).required(Some(required)).build());
        self
    }

    /// Collects the schemas of a body whose objects reject unknown fields.
    fn strict<T: ToSchema>(mut self) -> Self {
        let mut schemas = Vec::new();
        collect::<T>(&mut schemas);
        for (_, schema) in &mut schemas {
            if let RefOr::T(Schema::Object(object)) = schema
                && !object.properties.is_empty()
            {
                object.additional_properties =
                    Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
        self.schemas.extend(schemas);
        self
    }

    /// A response with a JSON body.
    pub fn json<T: ToSchema>(
        mut self,
        status: u16,
        description: &str,
        example: Option<Value>,
    ) -> Self {
        collect::<T>(&mut self.schemas);
        self.respond(status, description, JSON, content(reference::<T>(), example))
    }

    /// A response with any JSON object.
    pub fn any_json(self, status: u16, description: &str, example: Value) -> Self {
        let object = ObjectBuilder::new().schema_type(Type::Object).build();
        self.respond(status, description, JSON, content(object.into(), Some(example)))
    }

    /// A response without a body.
    pub fn empty(mut self, status: u16, description: &str) -> Self {
        let response = ResponseBuilder::new().description(description).build();
        self.responses.push((status, response));
        self
    }

    /// A response with text of this type.
    pub fn text(self, content_type: &str, description: &str, example: Value) -> Self {
        self.respond(200, description, content_type, content(text(None).into(), Some(example)))
    }

    /// Response 200 also comes as an event stream.
    pub fn or_events(mut self, example: Option<Value>) -> Self {
        if let Some((_, response)) = self.responses.iter_mut().find(|(status, _)| *status == 200) {
            let events = content(text(None).into(), example);
            response.content.insert(EVENT_STREAM.to_owned(), RefOr::T(events));
        }
        self
    }

    /// The last response has this header.
    pub fn with_header(mut self, name: &str, description: &str) -> Self {
        if let Some((_, response)) = self.responses.last_mut() {
            let header =
                HeaderBuilder::new().description(Some(description)).schema(Some(text(None)));
            response.headers.insert(name.to_owned(), header.build().into());
        }
        self
    }

    fn respond(
        mut self,
        status: u16,
        description: &str,
        content_type: &str,
        content: Content,
    ) -> Self {
        let response =
            ResponseBuilder::new().description(description).content(content_type, content);
        self.responses.push((status, response.build()));
        self
    }
}

/// The schema of a type and those of its parts.
pub fn collect<T: ToSchema>(schemas: &mut Vec<NamedSchema>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// A reference to the schema of a type.
pub fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

fn content(schema: RefOr<Schema>, example: Option<Value>) -> Content {
    ContentBuilder::new().schema(Some(schema)).example(example).build()
}

fn parameter(
    name: &str,
    place: ParameterIn,
    description: &str,
    required: Required,
) -> ParameterBuilder {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    parameter.description(Some(description))
}

fn text(pattern: Option<&str>) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).pattern(pattern).build().into()
}
