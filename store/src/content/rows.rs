//! The rows that say which content there is and what refers to it.
use diesel::prelude::*;
use dmwsi_domain::digest::Sha256Digest;
use dmwsi_domain::id::{ContainerId, DeliverableId};
use dmwsi_domain::{Error, Result, Timestamp};

use super::{Content, Staged};
use crate::column::{number, text};
use crate::failed::belongs;
use crate::schema::{content_markers, content_references, contents};
use crate::{Tx, failed, on};

/// A staged file and what it hashes to.
#[derive(Debug)]
pub struct Kept {
    /// The file.
    pub staged: Staged,
    /// Its digest.
    pub digest: Sha256Digest,
    /// Its length, in bytes.
    pub size: u64,
}

/// Something of a container that is content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reference {
    /// Its name in the archive.
    pub path: String,
    /// The deliverable it belongs to; none where it belongs to the container.
    pub deliverable: Option<DeliverableId>,
    /// What it hashes to.
    pub digest: Sha256Digest,
}

#[derive(Insertable)]
#[diesel(table_name = contents)]
struct Row {
    digest: String,
    size: i64,
    touched_at: i64,
}

#[derive(Insertable)]
#[diesel(table_name = content_references)]
struct ReferenceRow {
    container_id: String,
    path: String,
    deliverable_id: Option<String>,
    digest: String,
}

impl Tx<'_> {
    /// Writes that content of these digests is about to be kept. It is a transaction of its own: a row without its file is collected like any other,
    /// but nobody would ever find a file without its row.
    pub fn expect_contents(&mut self, kept: &[&Kept], now: Timestamp) -> Result<()> {
        kept.iter().try_for_each(|one| self.touch_content(one, now))
    }

    fn touch_content(&mut self, one: &Kept, now: Timestamp) -> Result<()> {
        let row = Row { digest: one.digest.to_string(), size: number(one.size), touched_at: now.micros() };
        let touch = contents::touched_at.eq(now.micros());
        let insert = diesel::insert_into(contents::table).values(row).on_conflict(contents::digest).do_update().set(touch);
        on!(self, conn => insert.execute(conn)).map(drop).map_err(failed)
    }

    /// Keeps staged files as content. The row is locked before the file gets its name, so a collection of the same digest comes before or after.
    pub fn keep_contents(&mut self, content: &dyn Content, kept: &[&Kept], now: Timestamp) -> Result<()> {
        for one in kept {
            self.touch_content(one, now)?;
            content.keep(&one.staged, &one.digest).map_err(|error| Error::Unavailable(Box::new(error)))?;
        }
        Ok(())
    }

    /// Has a container refer to content that was kept. Where that was collected again meanwhile, it is unavailable.
    pub(crate) fn refer(&mut self, container: ContainerId, references: &[Reference]) -> Result<()> {
        for one in references {
            let row = ReferenceRow {
                container_id: text(container.uuid()),
                path: one.path.clone(),
                deliverable_id: one.deliverable.map(|deliverable| text(deliverable.uuid())),
                digest: one.digest.to_string(),
            };
            let inserted = on!(self, conn => diesel::insert_into(content_references::table).values(&row).execute(conn));
            belongs(inserted, || Error::Unavailable("the content was collected meanwhile".into()))?;
        }
        Ok(())
    }

    /// Has a container refer to nothing any more.
    pub(crate) fn release(&mut self, container: ContainerId) -> Result<()> {
        let all = content_references::table.filter(content_references::container_id.eq(text(container.uuid())));
        on!(self, conn => diesel::delete(all).execute(conn)).map(drop).map_err(failed)
    }

    /// Digests of content to which nothing refers and that nobody touched since `before`; at most `limit`.
    pub fn unreferenced(&mut self, before: Timestamp, limit: i64) -> Result<Vec<Sha256Digest>> {
        let referring = content_references::table.filter(content_references::digest.eq(contents::digest));
        let found = contents::table
            .filter(contents::touched_at.lt(before.micros()))
            .filter(diesel::dsl::not(diesel::dsl::exists(referring)))
            .order(contents::touched_at)
            .select(contents::digest)
            .limit(limit);
        let digests: Vec<String> = on!(self, conn => found.load(conn)).map_err(failed)?;
        digests.into_iter().map(|digest| digest.parse().map_err(Error::internal)).collect()
    }

    /// Removes content, row and file, if still nothing refers to it and nobody touched it since `before`.
    pub fn collect(&mut self, content: &dyn Content, digest: &Sha256Digest, before: Timestamp) -> Result<bool> {
        let referring = content_references::table.filter(content_references::digest.eq(contents::digest));
        let row = contents::table
            .filter(contents::digest.eq(digest.to_string()))
            .filter(contents::touched_at.lt(before.micros()))
            .filter(diesel::dsl::not(diesel::dsl::exists(referring)));
        let gone = on!(self, conn => diesel::delete(row).execute(conn));
        let gone = belongs(gone, || Error::Stale { what: "content" })?;
        if gone == 1 {
            content.delete(digest).map_err(|error| Error::Unavailable(Box::new(error)))?;
        }
        Ok(gone == 1)
    }

    /// The marker of the place that belongs to this database. Where there is none yet, `content` becomes that place, under the marker it has or
    /// under `new`.
    pub fn content_marker(&mut self, content: &dyn Content, new: &str) -> Result<String> {
        let unavailable = |error: std::io::Error| Error::Unavailable(Box::new(error));
        let own = content.marker().map_err(unavailable)?;
        let row = (content_markers::name.eq("content"), content_markers::marker.eq(own.as_deref().unwrap_or(new)));
        let insert = diesel::insert_into(content_markers::table).values(row).on_conflict_do_nothing();
        let inserted = on!(self, conn => insert.execute(conn)).map_err(failed)?;
        if inserted == 1 && own.is_none() {
            content.mark(new).map_err(unavailable)?;
        }
        let found = content_markers::table.find("content").select(content_markers::marker);
        on!(self, conn => found.first(conn)).map_err(failed)
    }
}
