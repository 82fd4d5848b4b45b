//! Delivery: effects of accepted steps to posts and desks, over SSE and webhooks.
