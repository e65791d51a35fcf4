//! Levels that serde types of other rooms read.

pub(in crate::config) use super::application::APPLICATION;
use super::document::Read;
use super::leaf::from_serde;
pub(in crate::config) use super::objects::{GROUP, LIST, POLICY, SERVICE_TOKEN, TEST};
use super::shape::Shape;
use crate::config::reader::{NodeRef, Reader};
use crate::policy::{Group, List};

from_serde! {
    Group: Shape::Mapping(GROUP), required ["name", "include"];
    List: Shape::Mapping(LIST), required ["name", "type", "items"];
}

/// An entry of `access.applications`, which is read with the policies it links to.
pub(in crate::config) struct ApplicationEntry;

impl Read for ApplicationEntry {
    type Output = ();

    fn shape() -> Shape {
        Shape::Mapping(APPLICATION)
    }

    fn read(_: &mut Reader, _: &NodeRef<'_>) -> Option<()> {
        Some(())
    }
}
