//! The parts of Grafana's dashboard format that decide whether a dashboard works.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Columns of Grafana's grid.
pub const COLUMNS: u32 = 24;

/// A dashboard file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    /// Stays the same through renames: links go by it.
    pub uid: String,
    /// Title.
    pub title: String,
    /// Version of the format; 39 is Grafana 10.4's and read by all later ones.
    pub schema_version: u32,
    /// Panels and row headers, in order.
    pub panels: Vec<Panel>,
    /// Variables.
    pub templating: List<Variable>,
    /// Events marked in the graphs.
    pub annotations: List<Annotation>,
}

/// Grafana wraps its lists.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    /// The list.
    pub list: Vec<T>,
}

/// A panel, or the header of a row.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    /// Number, unique in the dashboard.
    pub id: u32,
    /// `row`, `stat`, `timeseries`, `table`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Title.
    pub title: String,
    /// What it shows and what to do about it; behind the little i.
    #[serde(default)]
    pub description: String,
    /// Where its data comes from; none for a row.
    pub datasource: Option<Datasource>,
    /// Its queries.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Where it stands.
    pub grid_pos: GridPos,
    /// What is done with the answers before they are shown.
    #[serde(default)]
    pub transformations: Vec<serde_json::Value>,
    /// Units, thresholds, colours.
    #[serde(default)]
    pub field_config: serde_json::Value,
}

impl Panel {
    /// Is it the header of a row?
    #[must_use]
    pub fn is_row(&self) -> bool {
        self.kind == "row"
    }
}

/// A data source, by its uid.
#[derive(Debug, Deserialize)]
pub struct Datasource {
    /// Kind of data source.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its uid, or a variable.
    pub uid: String,
}

/// A query of a panel.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Letter, unique in the panel.
    pub ref_id: String,
    /// Where it is sent.
    pub datasource: Datasource,
    /// PromQL with Grafana's variables.
    pub expr: String,
    /// Name of each resulting series, with labels as `{{label}}`.
    pub legend_format: String,
}

/// Place in the grid: columns and rows, counted from the upper left.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct GridPos {
    /// Left column.
    pub x: u32,
    /// Upper row.
    pub y: u32,
    /// Columns.
    pub w: u32,
    /// Rows.
    pub h: u32,
}

impl GridPos {
    /// Do two places share a cell?
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.x < other.x + other.w
            && other.x < self.x + self.w
            && self.y < other.y + other.h
            && other.y < self.y + self.h
    }
}

/// A variable that the user chooses.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Name, without the dollar.
    pub name: String,
    /// `datasource` or `query`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `query`: the query, as the user sees it.
    pub definition: Option<String>,
    /// Can several values be chosen?
    pub multi: bool,
    /// Is there "All"?
    pub include_all: bool,
}

/// Events marked in all graphs.
#[derive(Debug, Deserialize)]
pub struct Annotation {
    /// Name.
    pub name: String,
    /// PromQL with Grafana's variables; none for Grafana's own events.
    pub expr: Option<String>,
}

/// A query and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// For messages: `panel "…", query A`.
    pub place: String,
    /// PromQL with Grafana's variables.
    pub expr: String,
}

impl Dashboard {
    /// Reads a dashboard file.
    ///
    /// # Errors
    /// The file cannot be read or is not a dashboard; with line and column.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{}: not a Grafana dashboard", path.display()))
    }

    /// All PromQL in it: of panels, variables and annotations.
    #[must_use]
    pub fn queries(&self) -> Vec<Query> {
        let of_panels = self.panels.iter().flat_map(|panel| {
            panel.targets.iter().map(|target| Query {
                place: format!("panel \"{}\", query {}", panel.title, target.ref_id),
                expr: target.expr.clone(),
            })
        });
        let of_variables = self.templating.list.iter().filter_map(|variable| {
            let (selector, _label) = label_values(variable.definition.as_deref()?)?;
            let place = format!("variable \"{}\"", variable.name);
            Some(Query { place, expr: selector.to_owned() })
        });
        let of_annotations = self.annotations.list.iter().filter_map(|annotation| {
            let place = format!("annotation \"{}\"", annotation.name);
            Some(Query { place, expr: annotation.expr.clone()? })
        });
        of_panels.chain(of_variables).chain(of_annotations).collect()
    }
}

/// Selector and label of Grafana's `label_values(selector, label)`.
#[must_use]
pub fn label_values(definition: &str) -> Option<(&str, &str)> {
    let inside = definition.trim().strip_prefix("label_values(")?.strip_suffix(')')?;
    let (selector, label) = inside.rsplit_once(',')?;
    Some((selector.trim(), label.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_overlap_if_they_share_a_cell() {
        let place = |x, y, w, h| GridPos { x, y, w, h };
        let middle = place(4, 4, 4, 4);
        for apart in [place(0, 4, 4, 4), place(8, 4, 4, 4), place(4, 0, 4, 4), place(4, 8, 4, 4)] {
            assert!(!middle.overlaps(&apart) && !apart.overlaps(&middle), "{apart:?}");
        }
        for shared in [middle, place(7, 7, 9, 9), place(0, 0, 5, 5), place(5, 5, 1, 1)] {
            assert!(middle.overlaps(&shared) && shared.overlaps(&middle), "{shared:?}");
        }
    }

    #[test]
    fn takes_label_values_apart() {
        let split = label_values("label_values(up{a=\"b\", c=\"d\"}, instance)");
        assert_eq!(split, Some(("up{a=\"b\", c=\"d\"}", "instance")));
        assert_eq!(label_values("query_result(up)"), None);
        assert_eq!(label_values("label_values(up)"), None);
    }
}
