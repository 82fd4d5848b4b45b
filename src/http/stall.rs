//! Whoever takes nothing of what we send is let go.
//!
//! A terminal that was switched off without a word, or whose program hangs, leaves a connection that looks alive: the system
//! takes our bytes until its buffers are full, then no more. Nothing else finds that out in time: a stream's own bound
//! ([`super::stream`]) is met only while the connection still asks for the next event, which one that cannot write does not.
//! So each connection measures how long its writing has stood still; beyond the limit it is broken, which frees its seat and
//! all that waited for it. The clock runs only while something waits to be written, and begins anew with each byte taken: who
//! is merely slow is not meant.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

/// How long writing may stand still, and who counts those that were let go for it.
#[derive(Clone)]
pub struct Stalls {
    /// No longer than this.
    pub limit: Duration,
    /// Those that were let go.
    pub let_go: IntCounter,
}

/// A connection whose writing may stand still for so long and no longer.
pub struct Patient<T> {
    inner: T,
    stalls: Stalls,
    /// Until when what waits now is waited for; meaningless while nothing waits.
    until: Pin<Box<Sleep>>,
    /// Whether something waits to be written and is not taken.
    stands: Arc<AtomicBool>,
}

impl<T> Patient<T> {
    /// This connection.
    pub fn new(inner: T, stalls: Stalls) -> Self {
        let until = Box::pin(tokio::time::sleep(stalls.limit));
        Self { inner, stalls, until, stands: Arc::default() }
    }

    /// Waits for the end of the whole service, and from then on, looking so often, until the writing stands still: at the end
    /// nobody is waited for as long as in the midst of work.
    pub fn stands_at_the_end(
        &self,
        mut end: watch::Receiver<bool>,
        every: Duration,
    ) -> impl Future<Output = ()> + Send + use<T> {
        let (stands, let_go) = (Arc::clone(&self.stands), self.stalls.let_go.clone());
        async move {
            // The sender going away is the end too.
            let _ = end.wait_for(|ended| *ended).await;
            loop {
                tokio::time::sleep(every).await;
                if stands.load(Ordering::Relaxed) {
                    let_go.inc();
                    return;
                }
            }
        }
    }

    /// What came of an attempt to write, or that it took too long.
    fn judge<R>(&mut self, cx: &mut Context<'_>, tried: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if tried.is_ready() {
            self.stands.store(false, Ordering::Relaxed);
            return tried;
        }
        if !self.stands.swap(true, Ordering::Relaxed) {
            let until = Instant::now() + self.stalls.limit;
            self.until.as_mut().reset(until);
        }
        if self.until.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.stands.store(false, Ordering::Relaxed);
        self.stalls.let_go.inc();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was taken for too long")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.judge(cx, tried)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.judge(cx, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(cx, tried)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tried = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.judge(cx, tried)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn patient(limit_ms: u64) -> (Patient<tokio::io::DuplexStream>, tokio::io::DuplexStream, IntCounter) {
        let (ours, theirs) = tokio::io::duplex(8);
        let let_go = IntCounter::new("let_go", "let go").unwrap();
        let stalls = Stalls { limit: Duration::from_millis(limit_ms), let_go: let_go.clone() };
        (Patient::new(ours, stalls), theirs, let_go)
    }

    #[tokio::test]
    async fn who_takes_nothing_is_let_go() {
        let (mut ours, _theirs, let_go) = patient(50);
        let refused = ours.write_all(b"more than eight bytes").await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        assert_eq!(let_go.get(), 1);
    }

    #[tokio::test]
    async fn who_is_slow_is_waited_for_with_each_byte_anew() {
        let (mut ours, mut theirs, let_go) = patient(2_000);
        let wrote = tokio::spawn(async move { ours.write_all(&[7; 40]).await });
        let mut taken = [0; 8];
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            theirs.read_exact(&mut taken).await.unwrap();
        }
        wrote.await.unwrap().unwrap();
        assert_eq!(let_go.get(), 0);
    }
}
