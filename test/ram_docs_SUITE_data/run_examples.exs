# run_examples.exs FOLDER LIB: the Elixir of the documentation, each fence a file of FOLDER whose
# first line says where it stands. Configuration is read and checked, modules are compiled, the rest
# is run on a cluster of this one node; an `iex>' line has to answer what stands below it. Modules of
# ram's own are those of LIB, where there is such a folder.

[folder, lib] = System.argv()
:logger.set_primary_config(:level, :error)
Code.compiler_options(ignore_module_conflict: true)
sources = lib |> Path.join("**/*.ex") |> Path.wildcard()
if sources != [], do: {:ok, _, _} = Kernel.ParallelCompiler.compile(sources)
Application.put_env(:ram, :data_dir, Path.join(folder, "data"))
:ok = :ram.start_cluster([node()])

# Tests of the documentation shall not depend on what the machine has in its environment.
System.put_env("NODES", "nonode@nohost")
System.put_env("DATA_DIR", Path.join(folder, "data"))

check_config = fn file ->
  for {:ram, settings} <- Config.Reader.read!(file, env: :prod, target: :host) do
    {:ok, _} = :ram_config.check(settings)
  end
end

# `iex> CODE' on a line, and below it what it answers.
iex = fn text ->
  text
  |> String.split(~r/^iex(?:\(\d+\))?> /m)
  |> tl()
  |> Enum.reduce([], fn part, bindings ->
    [code | answer] = String.split(part, "\n")
    {got, bindings} = Code.eval_string(code, bindings)
    wanted = answer |> Enum.join("\n") |> String.trim()
    {expected, _} = if wanted == "", do: {got, []}, else: Code.eval_string(wanted)
    if got !== expected, do: raise("#{inspect(got)} is not #{wanted}")
    bindings
  end)
end

run = fn file, text ->
  cond do
    text =~ ~r/^import Config/m -> check_config.(file)
    text =~ ~r/^iex/m -> iex.(text)
    text =~ ~r/^\s*defmodule /m -> Code.compile_string(text, file)
    text =~ ~r/^\s*defp? /m -> Code.compile_string("defmodule Example do\n#{text}\nend", file)
    true -> Code.eval_string(text, [], file: file)
  end
end

failed =
  for file <- folder |> Path.join("*.ex") |> Path.wildcard() |> Enum.sort(),
      text = File.read!(file),
      "# " <> where = text |> String.split("\n") |> hd(),
      failure <- [
        try do
          run.(file, text)
          IO.puts("ok: #{where}")
          nil
        rescue
          error -> Exception.format(:error, error, __STACKTRACE__)
        catch
          kind, reason -> Exception.format(kind, reason, __STACKTRACE__)
        end
      ],
      failure != nil do
    IO.puts("FAILED: #{where}: #{failure}")
  end

:ram.stop_cluster([node()])
System.halt(min(1, length(failed)))
