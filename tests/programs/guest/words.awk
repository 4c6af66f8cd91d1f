# The commonest words of a file.
{
  gsub(/[^A-Za-z]+/, " ")
  for (i = 1; i <= NF; i++) count[tolower($i)]++
}
END {
  PROCINFO["sorted_in"] = "@val_num_desc"
  for (word in count) {
    if (count[word] < 100) break
    print count[word], word | "sort -k1,1nr -k2"
  }
}
