//! A graph as a picture that stands alone: no script, no font, nothing from elsewhere. Pure.

use anyhow::Result;

use super::Graph;
use super::layout::layout;
use crate::report::html::render;

impl Graph {
    pub fn svg(&self) -> Result<String> {
        render(include_str!("../../../templates/graph.svg.j2"), &layout(self))
    }
}
