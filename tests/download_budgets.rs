//! A budget of bytes that many downloads share.
use dmwsi_simulator::Behaviour;
use futures_util::future::join_all;

use crate::harness::fetch::Scene;

both! {
    /// FU-1: who waits for its share of the budget is not taken for one that has stalled, however small that share is.
    async fn downloads_that_wait_for_their_share_all_come_to_their_end(database: Database) {
        const DOWNLOADS: usize = 24;
        let scene = Scene::on(&database, 9_000, Behaviour::default(), |config| {
            config.downloads.bytes_per_second = 40_000;
            config.downloads.stalled_seconds = 1;
        }).await;
        // Each waits two seconds and more for a piece of a tenth of a second.
        let all = join_all((0..DOWNLOADS).map(|_| scene.get(&[]))).await;
        for got in all {
            assert_eq!((got.status.as_u16(), got.text.len()), (200, 9_000));
        }
        scene.server.stop().await;
    }
}
