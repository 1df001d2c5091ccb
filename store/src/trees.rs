//! What is known of the trees of devices: a row for each node, what it holds sealed.
use std::collections::HashSet;

use diesel::prelude::*;
use dmwsi_domain::id::DeviceId;
use dmwsi_domain::known_tree::{KnownNode, KnownValue, LearnedBy, Lesson, MAX_KNOWN};
use dmwsi_domain::{Error, Result, Timestamp};
use dmwsi_objects::NodeUri;

use crate::column::{damaged, document, text};
use crate::schema::device_nodes;
use crate::seal::Place;
use crate::{Keys, Sealed, Tx, failed, on};

/// How many rows one statement deletes by their names.
const PATHS_PER_STATEMENT: usize = 500;

/// What an answer taught, sealed where it says what a node holds.
#[derive(Clone, Debug)]
pub enum SealedLesson {
    /// The node has these children and no others.
    Children(NodeUri, Vec<String>),
    /// Nothing is known of the node and of all below it.
    Gone(NodeUri),
    /// The node holds that.
    Holds(NodeRow),
}

/// A row, what the node holds sealed.
#[derive(Clone, Debug, Insertable, Queryable, Selectable)]
#[diesel(table_name = device_nodes)]
pub struct NodeRow {
    device_id: String,
    path: String,
    learned_by: String,
    learned_at: i64,
    document: Vec<u8>,
}

/// Which of a device's nodes a page holds.
#[derive(Clone, Debug)]
pub struct NodePage {
    /// The device.
    pub device: DeviceId,
    /// The node at the top.
    pub under: NodeUri,
    /// Only those after this one, in the order of their octets; all of them when none.
    pub after: Option<String>,
    /// At most so many.
    pub limit: i64,
}

impl Keys {
    /// Seals what lessons about that device say.
    pub fn seal_lessons(&self, device: DeviceId, lessons: Vec<Lesson>) -> Result<Vec<SealedLesson>> {
        let sealed = |lesson| match lesson {
            Lesson::Children(node, names) => Ok(SealedLesson::Children(node, names)),
            Lesson::Gone(node) => Ok(SealedLesson::Gone(node)),
            Lesson::Holds(known) => self.seal_node(device, &known).map(SealedLesson::Holds),
        };
        lessons.into_iter().map(sealed).collect()
    }

    fn seal_node(&self, device: DeviceId, known: &KnownNode) -> Result<NodeRow> {
        let (device_id, path) = (text(device.uuid()), known.node.as_str().to_owned());
        let place = row_name(&device_id, &path);
        let sealed: Sealed = self.seal(place_of(&place), document(&known.value)?.as_bytes())?;
        Ok(NodeRow { device_id, path, learned_by: known.by.as_str().to_owned(), learned_at: known.at.micros(), document: sealed })
    }

    /// Opens a row.
    pub fn open_node(&self, row: &NodeRow) -> Result<KnownNode> {
        let opened = self.open(place_of(&row_name(&row.device_id, &row.path)), &row.document)?;
        let value: KnownValue = serde_json::from_slice(opened.expose()).map_err(Error::internal)?;
        Ok(KnownNode {
            node: NodeUri::parse(&row.path).map_err(Error::internal)?,
            value,
            by: LearnedBy::parse(&row.learned_by).ok_or_else(|| damaged("way in which a node is known"))?,
            at: Timestamp::from_micros(row.learned_at),
        })
    }
}

impl NodeRow {
    /// Its place in the order of pages.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

fn row_name(device: &str, path: &str) -> String {
    format!("{device}/{path}")
}

const fn place_of(row: &str) -> Place<'_> {
    Place { table: "device_nodes", column: "document", row }
}

/// All that lies at or below a node, its properties among it. The first names after `/` and after `?` are those of the signs that follow them.
macro_rules! under {
    ($device:expr, $node:expr) => {{
        let path = $node.path().to_owned();
        device_nodes::table.filter(device_nodes::device_id.eq(text($device.uuid()))).filter(
            device_nodes::path
                .eq(path.clone())
                .or(device_nodes::path.gt(format!("{path}/")).and(device_nodes::path.lt(format!("{path}0"))))
                .or(device_nodes::path.gt(format!("{path}?")).and(device_nodes::path.lt(format!("{path}@")))),
        )
    }};
}

impl Tx<'_> {
    /// Writes what answers of a device taught. Beyond [`MAX_KNOWN`] nodes nothing new is taken.
    pub fn learn_nodes(&mut self, device: DeviceId, lessons: &[SealedLesson]) -> Result<()> {
        // How many are known, once somebody had to count.
        let mut count = None;
        for lesson in lessons {
            let gone = match lesson {
                SealedLesson::Children(node, names) => self.forget_other_children(device, node, names)?,
                SealedLesson::Gone(node) => {
                    let gone = diesel::delete(under!(device, node));
                    on!(self, conn => gone.execute(conn)).map_err(failed)?
                }
                SealedLesson::Holds(row) => {
                    self.learn_node(device, row, &mut count)?;
                    0
                }
            };
            count = count.map(|count: usize| count.saturating_sub(gone));
        }
        Ok(())
    }

    /// A page of what is known of a device's tree, by address.
    pub fn known_nodes(&mut self, page: &NodePage) -> Result<Vec<NodeRow>> {
        let found = under!(page.device, page.under)
            .filter(device_nodes::path.gt(page.after.clone().unwrap_or_default()))
            .order(device_nodes::path)
            .limit(page.limit);
        on!(self, conn => found.select(NodeRow::as_select()).load(conn)).map_err(failed)
    }

    fn learn_node(&mut self, device: DeviceId, row: &NodeRow, count: &mut Option<usize>) -> Result<()> {
        let known = diesel::update(device_nodes::table.find((&row.device_id, &row.path))).set((
            device_nodes::learned_by.eq(&row.learned_by),
            device_nodes::learned_at.eq(row.learned_at),
            device_nodes::document.eq(&row.document),
        ));
        if on!(self, conn => known.execute(conn)).map_err(failed)? > 0 {
            return Ok(());
        }
        let before = match *count {
            Some(count) => count,
            None => self.count_nodes(device)?,
        };
        *count = Some(before);
        if before >= MAX_KNOWN {
            return Ok(());
        }
        let new = diesel::insert_into(device_nodes::table).values(row);
        on!(self, conn => new.execute(conn)).map_err(failed)?;
        *count = Some(before.saturating_add(1));
        Ok(())
    }

    fn count_nodes(&mut self, device: DeviceId) -> Result<usize> {
        let count = device_nodes::table.filter(device_nodes::device_id.eq(text(device.uuid()))).count();
        let count: i64 = on!(self, conn => count.get_result(conn)).map_err(failed)?;
        usize::try_from(count).map_err(Error::internal)
    }

    fn forget_other_children(&mut self, device: DeviceId, node: &NodeUri, names: &[String]) -> Result<usize> {
        let found = under!(device, node).select(device_nodes::path);
        let paths: Vec<String> = on!(self, conn => found.load(conn)).map_err(failed)?;
        let (above, names): (_, HashSet<&str>) = (format!("{}/", node.path()), names.iter().map(String::as_str).collect());
        let is_other = |path: &String| {
            let rest = path.strip_prefix(&above);
            let child = rest.and_then(|rest| rest.split(['/', '?']).next());
            child.is_some_and(|child| !names.contains(child))
        };
        let gone: Vec<_> = paths.into_iter().filter(is_other).collect();
        for chunk in gone.chunks(PATHS_PER_STATEMENT) {
            let rows = device_nodes::table
                .filter(device_nodes::device_id.eq(text(device.uuid())))
                .filter(device_nodes::path.eq_any(chunk));
            let gone = diesel::delete(rows);
            on!(self, conn => gone.execute(conn)).map_err(failed)?;
        }
        Ok(gone.len())
    }
}
