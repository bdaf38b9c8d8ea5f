"""What the files of a commit define: parsed once for each content, in a process of its own."""
