//! The stories: the real binary against a real nats-server, one file a story.
