//! The OpenAPI 3.1 document, built from the endpoint table and the descriptions of its endpoints.

pub mod actions;
mod operation;

use std::collections::BTreeMap;

use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Paths, ServerBuilder,
};

use crate::endpoints::ENDPOINTS;
use crate::http::describe::{NamedSchema, Tag, collect};
use crate::http::documents::{Document, Documents};
use crate::http::errors::Envelope;

/// The security scheme of `X-API-Key`.
const API_KEY: &str = "api_key";
/// The security scheme of `Authorization: Bearer`.
const BEARER: &str = "bearer";

/// The document. `server_url` is the address under which clients reach the service, if known.
pub fn document(server_url: Option<&str>) -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas: Vec<NamedSchema> = Vec::new();
    collect::<Envelope<'_>>(&mut schemas);
    for endpoint in ENDPOINTS {
        let Some(describe) = endpoint.describe else { continue };
        let mut description = describe();
        schemas.append(&mut description.schemas);
        let method = operation::method(endpoint.verb);
        let path = operation::path(endpoint.path);
        paths.add_path_operation(path, vec![method], operation::of(endpoint, description));
    }
    let schemas: BTreeMap<_, _> = schemas.into_iter().collect();
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")));
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(API_KEY, key)
        .security_scheme(BEARER, SecurityScheme::Http(bearer));
    let tags = Tag::ALL.map(|(tag, description)| {
        TagBuilder::new().name(tag.as_str()).description(Some(description)).build()
    });
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    let info = InfoBuilder::new()
        .title("life-agent")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Serves agents over HTTP. Each step passes policy gates, is recorded before the response, and is streamed.",
        ))
        .license(Some(license));
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([ServerBuilder::new().url(server_url.unwrap_or("/")).build()]))
        .paths(paths)
        .components(Some(components.build()))
        .security(Some([API_KEY, BEARER].map(|scheme| SecurityRequirement::new(scheme, [""; 0]))))
        .tags(Some(tags))
        .build()
}

/// Both documents, rendered on first request.
pub fn documents(server_url: Option<String>) -> Documents {
    let url = server_url.clone();
    Documents {
        whole: Document::new(Box::new(move || serde_json::to_vec(&document(url.as_deref())))),
        actions: Document::new(Box::new(move || {
            serde_json::to_vec(&actions::actions(&document(server_url.as_deref()))?)
        })),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    fn operations() -> Vec<(String, Value)> {
        let document = serde_json::to_value(document(None)).unwrap();
        let paths = document["paths"].as_object().unwrap().clone();
        let of_path = |(path, item): (String, Value)| {
            let methods = item.as_object().unwrap().clone();
            methods
                .into_iter()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        };
        paths.into_iter().flat_map(of_path).collect()
    }

    #[test]
    fn it_is_a_complete_3_1_document() {
        let document = serde_json::to_value(document(Some("https://example.org"))).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["servers"][0]["url"], "https://example.org");
        assert_eq!(document["info"]["license"]["identifier"], "Apache-2.0");
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!(schemes["api_key"]["name"], "X-API-Key");
        assert_eq!(schemes["bearer"]["scheme"], "bearer");
    }

    #[test]
    fn each_operation_has_an_id_a_summary_an_example_and_its_errors() {
        let operations = operations();
        let ids: BTreeSet<_> =
            operations.iter().map(|(_, o)| o["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), operations.len());
        for (name, operation) in &operations {
            assert!(operation["summary"].is_string(), "{name} has no summary");
            assert!(operation.to_string().contains("\"example\""), "{name} has no example");
            let open = operation["security"] == json!([]);
            assert_eq!(operation["responses"]["401"].is_object(), !open, "{name}");
            let scope = operation["x-required-scope"][0].as_str();
            assert_eq!(scope == Some("public"), open, "{name} requires {scope:?}");
            if operation["requestBody"].is_object() {
                for status in ["400", "408", "413", "415", "422"] {
                    assert!(operation["responses"][status].is_object(), "{name} lacks {status}");
                }
            }
        }
    }

    #[test]
    fn the_parameters_of_a_path_are_those_of_its_operation() {
        for (name, operation) in operations() {
            let declared = operation["parameters"].as_array().into_iter().flatten();
            let declared: BTreeSet<_> = declared
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
                .collect();
            let in_path = name.split(['/', ' ']).filter(|segment| segment.contains('{'));
            assert_eq!(in_path.map(str::to_owned).collect::<BTreeSet<_>>(), declared, "{name}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(document(None)).unwrap();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "`{name}` is not described");
        }
    }
}
