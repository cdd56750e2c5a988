//! What the streams do, told as conversations.
