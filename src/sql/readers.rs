//! Checks whether an engine can read what a configuration writes. Pure.

use super::catalogue::Relation;
use crate::columns::ColumnType;
use crate::encode::Format;

/// An engine that is to read the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Reader {
    /// Apache Spark 3.5 or 4
    Spark,
    /// Amazon Athena, engine version 3
    Athena,
    /// Google BigQuery, by external tables
    Bigquery,
    /// Snowflake, by an external stage
    Snowflake,
}

/// Those parts of a configuration that matter to readers.
#[derive(Clone, Debug)]
pub struct Written<'c> {
    /// The format of new objects.
    pub format: Format,
    /// Whether the lake is a bucket.
    pub is_bucket: bool,
    /// The address of an S3-compatible store.
    pub endpoint: Option<&'c str>,
    /// The streams.
    pub relations: &'c [Relation],
}

/// Something that an engine cannot do at all, or not in every version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The engine cannot read the lake.
    Problem(String),
    /// It can read the lake, but not all of it, or not in every version.
    Warning(String),
}

impl Reader {
    /// Everything that prevents this engine from reading the lake, with the setting that helps.
    pub fn judge(self, written: &Written<'_>) -> Vec<Verdict> {
        match self {
            Self::Spark => spark(written),
            Self::Athena => athena(written),
            Self::Bigquery => bigquery(written),
            Self::Snowflake => snowflake(written),
        }
    }
}

fn spark(written: &Written<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if written.format == Format::NdjsonZst {
        let message = "batch.format: Spark 3.5 cannot read .ndjson.zst, Spark 4 can; \"ndjson.gz\" and \"parquet\" work with both";
        verdicts.push(Verdict::Warning(message.to_owned()));
    }
    verdicts
}

fn athena(written: &Written<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    needs_bucket("Athena", written, &mut verdicts);
    if let Some(endpoint) = written.endpoint {
        let message =
            format!("lake.endpoint: Athena reads buckets of Amazon S3 only, not {endpoint}");
        verdicts.push(Verdict::Problem(message));
    }
    for relation in written.relations {
        for key in &relation.partitions {
            if !key.pattern.is_empty() && !super::athena::is_projected(key) {
                let message = format!(
                    "events.partition: the values of {name} cannot be computed, so each query of {stream} must name \
                     them (WHERE {name} = '…'); dt=%Y-%m-%d, dt=%Y-%m-%d-%H and single numbers such as hour=%H can be",
                    name = key.name,
                    stream = relation.name
                );
                verdicts.push(Verdict::Warning(message));
            }
        }
        if !written.format.layout().is_typed() {
            let odd: Vec<&str> = relation
                .properties()
                .map(|(_, key, _)| key)
                .filter(|key| !super::athena::is_plain(key))
                .collect();
            if !odd.is_empty() {
                let message = format!(
                    "properties of {} with other characters than letters, digits and _ have no column in lines, \
                     but have one in Parquet: {}",
                    relation.name,
                    odd.join(", ")
                );
                verdicts.push(Verdict::Warning(message));
            }
        }
    }
    verdicts
}

fn bigquery(written: &Written<'_>) -> Vec<Verdict> {
    /// The name of a column may contain none of these characters, and may not begin with one of the prefixes.
    const FORBIDDEN: &str = "!\"$()*,./;?@[\\]^`{}~";
    const PREFIXES: [&str; 6] = [
        "_table_",
        "_file_",
        "_partition",
        "_row_timestamp",
        "__root__",
        "_colidentifier",
    ];
    let mut verdicts = Vec::new();
    needs_bucket("BigQuery", written, &mut verdicts);
    if written.format == Format::NdjsonZst {
        let message = "batch.format: BigQuery reads lines that are plain or compressed with gzip, not .ndjson.zst; set \"ndjson.gz\" or \"parquet\"";
        verdicts.push(Verdict::Problem(message.to_owned()));
    }
    if written.is_bucket && written.endpoint.is_none() {
        let message = "lake.url: BigQuery reads buckets of Amazon S3 only through BigQuery Omni or a transfer; a bucket of \
                       Google Cloud Storage is read in place (lake.endpoint = \"https://storage.googleapis.com\")";
        verdicts.push(Verdict::Warning(message.to_owned()));
    }
    for relation in written.relations {
        let names = relation.columns().map(|column| column.name.as_str());
        let odd: Vec<&str> = names
            .filter(|name| {
                let lower = name.to_lowercase();
                name.contains(|c| FORBIDDEN.contains(c))
                    || PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
            })
            .collect();
        if !odd.is_empty() {
            let message = format!(
                "columns of {} have names that BigQuery refuses: {}",
                relation.name,
                odd.join(", ")
            );
            verdicts.push(Verdict::Warning(message));
        }
    }
    verdicts
}

fn snowflake(written: &Written<'_>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    needs_bucket("Snowflake", written, &mut verdicts);
    if let Some(endpoint) = written.endpoint.filter(|_| written.is_bucket) {
        let message = format!(
            "lake.endpoint: Snowflake reads compatible stores such as {endpoint} by s3compat:// stages only, and must be able to reach them"
        );
        verdicts.push(Verdict::Warning(message));
    }
    let has_json = |relation: &Relation| {
        relation
            .columns()
            .any(|column| column.kind == ColumnType::Json)
    };
    if written.format.layout().is_typed() && written.relations.iter().any(has_json) {
        let message = "batch.format: in Parquet, columns such as properties and extra are text to Snowflake: PARSE_JSON(…) reads them";
        verdicts.push(Verdict::Warning(message.to_owned()));
    }
    verdicts
}

fn needs_bucket(engine: &str, written: &Written<'_>, verdicts: &mut Vec<Verdict>) {
    if !written.is_bucket {
        let message = format!("lake.url: {engine} reads buckets, and this lake is a directory");
        verdicts.push(Verdict::Problem(message));
    }
}
