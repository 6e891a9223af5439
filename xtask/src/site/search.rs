//! The index of the site's search: one entry per section, as a script that sets a global. A page that opens from a
//! folder may load scripts, but no data.

use serde_json::json;

use super::guide::Heading;

/// The longest text of a section in the index, in bytes. Words after it are found on the page itself.
const MAX_TEXT: usize = 1500;

/// The entries so far.
#[derive(Default)]
pub(super) struct Index(Vec<serde_json::Value>);

impl Index {
    /// Adds the sections of a guide.
    pub(super) fn add(&mut self, title: &str, stem: &str, headings: &[Heading]) {
        for heading in headings {
            let text = heading.text.split_whitespace().collect::<Vec<_>>().join(" ");
            let end = text.floor_char_boundary(MAX_TEXT);
            let fragment =
                if heading.level == 1 { String::new() } else { format!("#{}", heading.id) };
            let section = if heading.level == 1 { "" } else { heading.title.as_str() };
            self.0.push(json!([
                title,
                section,
                format!("guides/{stem}.html{fragment}"),
                &text[..end]
            ]));
        }
    }

    /// Adds the calls of the API, by method, path and summary.
    pub(super) fn add_calls(&mut self, document: &serde_json::Value) {
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let Some(id) = operation["operationId"].as_str() else { continue };
                let name = format!("{} {path}", method.to_uppercase());
                let text = operation["summary"].as_str().unwrap_or_default();
                self.0.push(json!([name, "", format!("index.html#{id}"), text]));
            }
        }
    }

    /// The script.
    pub(super) fn script(&self) -> String {
        format!("globalThis.searchIndex = {};\n", serde_json::Value::from(self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_leads_to_its_section_and_long_texts_are_cut() {
        let heading = |level, text: &str| Heading {
            level,
            id: "the-part".to_owned(),
            title: "The part".to_owned(),
            text: text.to_owned(),
        };
        let mut index = Index::default();
        index.add("Guide", "guide", &[heading(1, "a\n b"), heading(2, &"ü".repeat(2000))]);
        index.add_calls(
            &json!({"paths": {"/act": {"post": {"operationId": "act", "summary": "Acts"}}}}),
        );
        assert_eq!(index.0[0], json!(["Guide", "", "guides/guide.html", "a b"]));
        assert_eq!(index.0[1][2], "guides/guide.html#the-part");
        assert!(index.0[1][3].as_str().unwrap().len() <= MAX_TEXT);
        assert_eq!(index.0[2], json!(["POST /act", "", "index.html#act", "Acts"]));
        assert!(index.script().starts_with("globalThis.searchIndex = [["));
    }
}
