//! What the metrics say at a moment, for those who show them to people: read from the text that Prometheus gets, so
//! that nothing is counted twice.

use std::collections::HashMap;

/// The values of all counters and gauges, by name and labels as in the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading(HashMap<Box<str>, f64>);

impl Reading {
    /// Reads Prometheus' text format. Buckets of histograms are left out.
    pub(super) fn of(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let is_bucket = name.contains("_bucket{");
            let value = value.parse().ok().filter(|_| !is_bucket)?;
            Some((name.into(), value))
        });
        Self(values.collect())
    }

    /// The value of a metric without labels; 0 if there is none.
    pub fn of_metric(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// The sum of a metric over all its labels; 0 if there is none.
    pub fn of_all_labels(&self, name: &str) -> f64 {
        let all = self.0.iter().filter(|(key, _)| {
            let rest = key.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
        });
        all.map(|(_, value)| value).sum()
    }

    /// The value of a metric with these labels, in their order; 0 if there is none.
    pub fn of_labels(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        self.of_metric(&format!("{name}{{{}}}", labels.join(",")))
    }
}

/// A value of a label as the text has it.
fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_labels() {
        let text = "# HELP a b\n# TYPE a counter\na 7\nb{x=\"1\",y=\"q\\\"\\\\\"} 2.5\nc inf\n\
                    d_bucket{le=\"1\"} 3\nd_sum 4\nbroken\n";
        let reading = Reading::of(text);
        assert!((reading.of_metric("a") - 7.0).abs() < f64::EPSILON);
        let labelled = reading.of_labels("b", &[("x", "1"), ("y", "q\"\\")]);
        assert!((labelled - 2.5).abs() < f64::EPSILON);
        assert!((reading.of_all_labels("b") - 2.5).abs() < f64::EPSILON);
        assert!((reading.of_all_labels("a") - 7.0).abs() < f64::EPSILON);
        assert!(reading.of_metric("c").is_infinite());
        assert!((reading.of_metric("d_sum") - 4.0).abs() < f64::EPSILON);
        assert!(reading.of_metric("nothing").abs() < f64::EPSILON);
        assert_eq!(reading.0.len(), 4);
    }
}
