//! Finds the objects in responses of the API.
//!
//! A file contains one JSON value or several in sequence: the API's envelope, a list, a single object.
//! Their nesting makes no difference.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::ImportError;
use super::kind::Kind;
use super::note::{ImportNote, ImportNoteKind};

/// The contents of the files.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) objects: Vec<Object>,
    pub(super) items: Vec<Items>,
    pub(super) notes: Vec<ImportNote>,
    pages: Vec<Page>,
}

/// An object with its file.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) file: String,
    pub(super) kind: Kind,
    pub(super) fields: Map<String, Value>,
}

/// Entries of a list.
#[derive(Debug)]
pub(super) struct Items {
    pub(super) file: String,
    pub(super) values: Vec<Value>,
}

/// A page of a longer response.
#[derive(Debug)]
struct Page {
    file: String,
    kind: Kind,
    number: u64,
    size: u64,
    count: u64,
    total: u64,
}

impl Source {
    pub(super) fn read<N: AsRef<str>, T: AsRef<str>>(
        files: &[(N, T)],
    ) -> Result<Self, ImportError> {
        let mut source = Self::default();
        for (name, text) in files {
            let (file, text) = (name.as_ref(), text.as_ref());
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let refused = |message: String| ImportError::Json { file: file.to_owned(), message };
            let mut is_empty = true;
            for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
                is_empty = false;
                source.walk(file, value.map_err(|error| refused(error.to_string()))?, 0)?;
            }
            if is_empty {
                return Err(refused("the file is empty".to_owned()));
            }
        }
        source.check_pages()?;
        Ok(source)
    }

    fn walk(&mut self, file: &str, value: Value, depth: usize) -> Result<(), ImportError> {
        match value {
            Value::Null => {}
            Value::Object(mut fields) if is_envelope(&fields) => {
                if fields.get("success") == Some(&Value::Bool(false)) {
                    let message = api_messages(&fields);
                    return Err(ImportError::Refused { file: file.to_owned(), message });
                }
                let result = fields.remove("result").unwrap_or_default();
                self.take_page(file, &fields, &result);
                if depth < MAX_DEPTH {
                    self.walk(file, result, depth + 1)?;
                }
            }
            Value::Object(fields) => match Kind::from_object(&fields) {
                Some(kind) => self.objects.push(Object { file: file.to_owned(), kind, fields }),
                None => self.skipped(file, &fields),
            },
            Value::Array(values) if !values.is_empty() && values.iter().all(Kind::is_item) => {
                self.items.push(Items { file: file.to_owned(), values });
            }
            Value::Array(values) if depth < MAX_DEPTH => {
                for value in values {
                    self.walk(file, value, depth + 1)?;
                }
            }
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.notes.push(ImportNote::new(
                    ImportNoteKind::NotCarriedOver,
                    (file, ""),
                    "",
                    "not an object of the API; it was left out",
                ));
            }
        }
        Ok(())
    }

    fn skipped(&mut self, file: &str, fields: &Map<String, Value>) {
        let name = ["name", "id"].iter().find_map(|key| fields.get(*key)?.as_str());
        let object = name.map_or_else(|| "an object".to_owned(), |name| format!("`{name}`"));
        self.notes.push(ImportNote::new(
            ImportNoteKind::NotCarriedOver,
            (file, &object),
            "",
            "not an application, policy, group, list, service token, identity provider or organization; \
             it was left out",
        ));
    }

    fn take_page(&mut self, file: &str, envelope: &Map<String, Value>, result: &Value) {
        let Some(info) = envelope.get("result_info").and_then(Value::as_object) else { return };
        let number = |key: &str| info.get(key).and_then(Value::as_u64);
        let Some(total) = number("total_count") else { return };
        let Some(values) = result.as_array() else { return };
        let (kind, count) = match values.first() {
            Some(Value::Object(first)) if Kind::is_item(&Value::Object(first.clone())) => {
                (Kind::Items, values.len())
            }
            Some(Value::Object(first)) => match Kind::from_object(first) {
                Some(kind) => (kind, values.len()),
                None => return,
            },
            Some(Value::Array(inner)) => (Kind::Items, inner.len()),
            _ => return,
        };
        self.pages.push(Page {
            file: file.to_owned(),
            kind,
            number: number("page").unwrap_or(1),
            size: number("per_page").unwrap_or(0),
            count: u64::try_from(count).unwrap_or(u64::MAX),
            total,
        });
    }

    /// Checks that all pages of each response are present.
    fn check_pages(&mut self) -> Result<(), ImportError> {
        // Entries of a list are compared with the list's own count.
        let responses: BTreeSet<(&str, u64, u64)> = self
            .pages
            .iter()
            .filter(|page| page.kind != Kind::Items)
            .map(|page| (page.kind.as_str(), page.size, page.total))
            .collect();
        for (kind, size, total) in responses {
            let mut seen = BTreeSet::new();
            let pages = self
                .pages
                .iter()
                .filter(|page| (page.kind.as_str(), page.size, page.total) == (kind, size, total));
            let mut last = None;
            let mut found: u64 = 0;
            for page in pages {
                last = Some(page);
                if seen.insert(page.number) {
                    found = found.saturating_add(page.count);
                }
            }
            let Some(page) = last.filter(|_| found < total) else { continue };
            if page.kind == Kind::Application {
                return Err(ImportError::PagesMissing { file: page.file.clone(), found, total });
            }
            self.notes.push(ImportNote::new(
                ImportNoteKind::NotCarriedOver,
                (&page.file, ""),
                "result_info",
                format_args!(
                    "{found} of {total} objects of the kind `{kind}`; import the other pages as well"
                ),
            ));
        }
        Ok(())
    }
}

/// Whether this is the API's envelope (section 7.5 of the contract), or only its `result`.
fn is_envelope(fields: &Map<String, Value>) -> bool {
    let is_response = fields.get("success").is_some_and(Value::is_boolean);
    is_response || fields.contains_key("result") && !fields.contains_key("id")
}

fn api_messages(envelope: &Map<String, Value>) -> String {
    let errors = envelope.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let messages: Vec<String> = errors
        .iter()
        .take(10)
        .filter_map(|error| {
            let message = error.get("message").and_then(Value::as_str)?;
            let message = super::note::one_line(message);
            Some(match error.get("code").and_then(Value::as_u64) {
                Some(code) => format!("{message} ({code})"),
                None => message.into(),
            })
        })
        .collect();
    if messages.is_empty() { "without a message".to_owned() } else { messages.join(", ") }
}

/// The maximum nesting of envelopes and lists: the API has three levels.
const MAX_DEPTH: usize = 8;
