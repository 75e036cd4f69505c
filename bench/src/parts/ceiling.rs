use axum::{Router, http::header, routing::get};
use tokio::net::TcpListener;

use crate::{
    Outcome,
    context::Bench,
    load::{self, Until},
    traffic::Path,
};

/// What the load itself can do, on the same processors: requests to a server that only says hello. Every answer counts as
/// wrong, which is as it should be, and makes checking as dear as it gets.
pub(crate) async fn measure(bench: &mut Bench) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let hello = get(|| async { ([(header::CONTENT_TYPE, "text/plain")], "hello") });
    let server = tokio::spawn(axum::serve(listener, Router::new().route("/api/v1/leads", hello)).into_future());
    let traffic = bench.traffic(Path::Page, bench.options.connections);
    let measured = load::run(address, traffic, Until::Elapsed(bench.options.length())).await?;
    server.abort();
    let rate = (measured.answers + measured.errors) as f64 / bench.options.length().as_secs_f64();
    bench.report.setting.push(format!("the load alone, against a server that says hello: {rate:.0} requests/s"));
    eprintln!("   the load alone: {rate:.0} requests/s");
    Ok(())
}
