"""What tests of programs that use docsession need."""
