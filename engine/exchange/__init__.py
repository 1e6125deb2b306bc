"""Conversations from and for elsewhere: files of other chats read piece by piece, previewed, stored, written."""
