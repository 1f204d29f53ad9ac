//! What a PromQL expression names.

use promql_parser::{
    label::Matchers,
    parser::{self, Expr, VectorSelector},
    util::{ExprVisitor, walk_expr},
};

/// A set of series that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Name of the metric.
    pub metric: String,
    /// Labels that it is selected by, and those that it is grouped by further out.
    pub labels: Vec<String>,
    /// The selector itself, as PromQL.
    pub text: String,
}

/// What an expression names.
#[derive(Debug, Default)]
pub struct Names {
    /// All selectors in it.
    pub selectors: Vec<Selector>,
    /// Does it compare, and so leave out series whose comparison is false? Then an empty result is
    /// an answer too.
    pub filters: bool,
    grouped_by: Vec<Vec<String>>,
}

/// Takes an expression apart.
///
/// # Errors
/// It does not parse.
pub fn names(expr: &str) -> Result<Names, String> {
    let tree = parser::parse(expr).map_err(|error| format!("{expr}: {error}"))?;
    let mut names = Names::default();
    walk_expr(&mut names, &tree)?;
    Ok(names)
}

impl Names {
    fn select(&mut self, selector: &VectorSelector) -> Result<(), String> {
        // Without offset and @: the question is which series there are.
        let bare = VectorSelector::new(selector.name.clone(), selector.matchers.clone());
        let text = bare.to_string();
        let metric = selector.name.clone().ok_or_else(|| format!("no name of a metric: {text}"))?;
        let Matchers { matchers, or_matchers } = &selector.matchers;
        let matchers = matchers.iter().chain(or_matchers.iter().flatten());
        let matched = matchers.map(|matcher| matcher.name.clone());
        let labels = matched.chain(self.grouped_by.iter().flatten().cloned()).collect();
        self.selectors.push(Selector { metric, labels, text });
        Ok(())
    }
}

impl ExprVisitor for Names {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        match expr {
            Expr::VectorSelector(selector) => self.select(selector)?,
            Expr::MatrixSelector(matrix) => self.select(&matrix.vs)?,
            Expr::Aggregate(aggregate) => {
                let labels = aggregate.modifier.as_ref().map(|by| by.labels().labels.clone());
                self.grouped_by.push(labels.unwrap_or_default());
            }
            Expr::Binary(binary) => {
                self.filters |= binary.op.is_comparison_operator() && !binary.return_bool();
            }
            _ => {}
        }
        Ok(true)
    }

    fn post_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        if matches!(expr, Expr::Aggregate(_)) {
            self.grouped_by.pop();
        }
        Ok(true)
    }
}

#[test]
fn finds_metrics_and_labels_and_nothing_else() {
    let expr = r#"topk(3, sum by (a, b) (rate(x_total{c="sum", d=~"y_total|z"}[5m] offset 1h)))
        / on (a) group_left min_over_time(abs(y - z{e!=""})[15m:1m])"#;
    let names = names(expr).unwrap();
    let found: Vec<_> = names.selectors.iter().map(|s| (&*s.metric, s.labels.join(","))).collect();
    let expected = [("x_total", "c,d,a,b".into()), ("y", String::new()), ("z", "e".into())];
    assert_eq!(found, expected);
    assert_eq!(names.selectors[0].text, r#"x_total{c="sum",d=~"y_total|z"}"#);
    assert!(!names.filters);
}

#[test]
fn knows_filters_and_refuses_what_is_not_promql() {
    assert!(names("sum(a) / (sum(b) > 0)").unwrap().filters);
    assert!(!names("a > bool 0").unwrap().filters);
    for bad in ["sum(", "rate(a)", "{a=\"b\"}", "a b"] {
        assert!(names(bad).is_err(), "{bad}");
    }
}
