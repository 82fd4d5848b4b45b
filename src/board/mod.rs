//! The board: what readers see, folded from accepted steps; readers never touch the engine.
