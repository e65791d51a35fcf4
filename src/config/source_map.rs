//! The positions of a file that was read, for findings that come later.

use crate::application::Destination;
use crate::policy::Policy;

use super::location::Location;
use super::reader::{NodeRef, Reader};
use super::reusable::is_link;
use super::tree::{Node, Value};

/// The tree of a file that was read without errors.
#[derive(Clone, Debug)]
pub(crate) struct SourceMap(Node);

impl SourceMap {
    pub(super) fn new(root: Node) -> Self {
        Self(root)
    }

    /// Returns the position of a key path such as `access.applications[0].policies[1].include[2]`, or of
    /// its longest part that exists.
    pub(crate) fn location(&self, path: &str) -> Location {
        self.walk(path).0.at
    }

    /// Whether a key path exists and is not null.
    pub(crate) fn has(&self, path: &str) -> bool {
        let (node, is_whole) = self.walk(path);
        is_whole && !node.is_null()
    }

    /// Returns the key path of a destination of an application.
    pub(crate) fn destination(&self, application: usize, destination: &Destination) -> String {
        let place = format!("access.applications[{application}]");
        let (node, _) = self.walk(&place);
        let is_it = |node: &Node| {
            node.text().and_then(|text| text.parse().ok()).as_ref() == Some(destination)
        };
        let among = |key: &str, of_item: fn(&Node) -> Option<&Node>| {
            let items = node.get(key)?.items();
            items.iter().position(|item| of_item(item).is_some_and(is_it))
        };
        if let Some(index) = among("destinations", |item| item.get("uri")) {
            return format!("{place}.destinations[{index}].uri");
        }
        if let Some(index) = among("self_hosted_domains", |item| Some(item)) {
            return format!("{place}.self_hosted_domains[{index}]");
        }
        if node.get("domain").is_some() { format!("{place}.domain") } else { place }
    }

    /// Returns the key path where a policy of an application is defined: in the application, or where it
    /// links to.
    pub(crate) fn policy(&self, application: usize, policy: usize) -> String {
        let place = format!("access.applications[{application}].policies[{policy}]");
        match self.link(&place) {
            Some(definition) => format!("access.policies[{definition}]"),
            None => place,
        }
    }

    /// Returns the policies that applications may link to, in order.
    pub(crate) fn reusable(&self) -> Vec<Policy> {
        let (node, is_whole) = self.walk("access.policies");
        let items = if is_whole { node.items() } else { &[] };
        let read = |node: &Node| Reader::default().read(&NodeRef::root(node), &[]);
        items.iter().filter_map(read).collect()
    }

    /// Returns the index of the definition that a link refers to.
    fn link(&self, place: &str) -> Option<usize> {
        let (node, _) = self.walk(place);
        if !is_link(node) {
            return None;
        }
        let id = node.text().or_else(|| node.get("id")?.text())?;
        let (definitions, _) = self.walk("access.policies");
        let called = |key: &str| {
            let is_called = |one: &Node| one.get(key).and_then(Node::text) == Some(id);
            definitions.items().iter().position(is_called)
        };
        called("id").or_else(|| called("name"))
    }

    /// Returns the node of a path, or the last one that exists, and whether the path exists.
    fn walk(&self, path: &str) -> (&Node, bool) {
        let mut node = &self.0;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (&node.value, step.strip_suffix(']')) {
                (Value::Sequence(items), Some(index)) => {
                    index.parse::<usize>().ok().and_then(|index| items.get(index))
                }
                (_, None) => node.get(step),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return (node, false),
            }
        }
        (node, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_followed_as_far_as_they_exist() {
        let places = SourceMap::new(Node::parse("a:\n  - b: 1\n  - c: { d: [ x, ~ ] }\n").unwrap());
        for (path, line, column, there) in [
            ("a", 2, 3, true),
            ("a[0].b", 2, 8, true),
            ("a[1].c.d[0]", 3, 15, true),
            ("a[1].c.d[1]", 3, 18, false),
            ("a[1].c.e", 3, 8, false),
            ("a[7].c", 2, 3, false),
            ("z", 1, 1, false),
        ] {
            assert_eq!(places.location(path), Location { line, column }, "{path}");
            assert_eq!(places.has(path), there, "{path}");
        }
    }

    #[test]
    fn links_lead_to_the_definition() {
        let text = "
access:
  policies:
    - { id: b, name: a, decision: deny, include: [ { everyone: {} } ] }
    - { id: a, name: x, decision: deny, include: [ { everyone: {} } ] }
  applications:
    - domain: h.example
      policies: [ a, { id: b }, { id: c, name: n, decision: deny, include: [] }, x ]
    - destinations: [ { uri: a.example }, { uri: B.example/ } ]
";
        let places = SourceMap::new(Node::parse(text).unwrap());
        let definitions: Vec<String> = (0..4).map(|policy| places.policy(0, policy)).collect();
        assert_eq!(
            definitions,
            [
                "access.policies[1]",
                "access.policies[0]",
                "access.applications[0].policies[2]",
                "access.policies[1]"
            ]
        );
        assert_eq!(places.reusable().len(), 2);
        let destination =
            |application, text: &str| places.destination(application, &text.parse().unwrap());
        assert_eq!(destination(0, "h.example"), "access.applications[0].domain");
        assert_eq!(destination(1, "b.example"), "access.applications[1].destinations[1].uri");
    }
}
