# One node, without distribution and without files, for the doctests and most tests. The last line
# is for scripts/runner.sh, which counts.
Application.load(:ram)
Application.put_env(:ram, :storage, :memory)
:ok = Ram.start()
:ok = Ram.start_cluster([node()])

# The nodes of the suites serve here too.
helpers = Path.join(Mix.Project.app_path(), "helpers")
File.mkdir_p!(helpers)

for module <- [:ram_peers, :ram_test_epmd] do
  {:ok, ^module} = :compile.file(~c"test/#{module}.erl", outdir: to_charlist(helpers))
end

Code.append_path(helpers)

ExUnit.start()

ExUnit.after_suite(fn %{total: total, failures: failed, skipped: skipped, excluded: excluded} ->
  IO.puts("counts #{total - failed - skipped - excluded} #{failed} #{skipped + excluded}")
end)
