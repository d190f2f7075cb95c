# ram for Mix: Erlang modules of erlang/, their Elixir face in lib/, and the native library, which
# the same hook makes that rebar3 calls. What the application is, erlang/ram.app.src alone says.
defmodule Ram.MixProject do
  use Mix.Project

  @external_resource "erlang/ram.app.src"
  {:ok, [{:application, :ram, properties}]} =
    :file.consult(Path.join(__DIR__, "erlang/ram.app.src"))

  @properties properties

  def project do
    [
      app: :ram,
      version: to_string(@properties[:vsn]),
      elixir: "~> 1.14",
      # rebar3 has _build/test too.
      build_path: "_build/mix",
      compilers: [:ram_native] ++ Mix.compilers() ++ [:ram_docs],
      erlc_paths: ["erlang"],
      erlc_options: [:debug_info],
      elixirc_paths: elixirc_paths(Mix.env()),
      test_paths: ["test/elixir"],
      # The tests start the application themselves, with a data folder of their own.
      aliases: [test: "test --no-start"],
      description: to_string(@properties[:description]),
      package: package(),
      docs: docs()
    ]
  end

  def application do
    Keyword.take(@properties, [:mod, :registered, :env]) ++
      [extra_applications: @properties[:applications] -- [:kernel, :stdlib]]
  end

  defp elixirc_paths(:test), do: ["lib", "test/elixir/support"]
  defp elixirc_paths(_env), do: ["lib"]

  defp package do
    [
      licenses: Enum.map(@properties[:licenses], &to_string/1),
      links: Map.new(@properties[:links], fn {name, url} -> {to_string(name), to_string(url)} end)
    ]
  end

  # For those who have ExDoc; ram does not depend on it.
  defp docs do
    [
      main: "readme",
      extras: ["README.md", "CHANGELOG.md", "SECURITY.md" | pages()],
      groups_for_modules: [
        "Elixir": [Ram, Ram.Cluster, Ram.Error, Ram.Tx],
        Erlang: [:ram, :ram_error, :ram_tx]
      ]
    ]
  end

  defp pages, do: Path.wildcard("docs/**/*.md") -- ["docs/SUMMARY.md"]
end

defmodule Mix.Tasks.Compile.RamNative do
  @moduledoc false
  use Mix.Task.Compiler

  @root __DIR__
  @hook ["escript", "native/build.escript"]

  @impl true
  def run(_arguments) do
    before = File.stat("priv/ram_nif.so")
    # What went wrong it has told.
    run_script(@hook) == 0 || Mix.raise("the native library of ram was not made")
    # Links priv into the build: in a fresh clone it is there only now.
    Mix.Project.build_structure()
    if File.stat("priv/ram_nif.so") == before, do: {:noop, []}, else: {:ok, []}
  end

  def run_script([program | arguments]) do
    options = [
      cd: @root,
      # With a -sname of the user's in them it would be a node too.
      env: for(name <- ["ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS"], do: {name, nil}),
      into: IO.stream(:stdio, :line),
      stderr_to_stdout: true
    ]

    System.find_executable(program) || Mix.raise("#{program} of Erlang/OTP is not in PATH")
    {_output, status} = System.cmd(program, arguments, options)
    status
  end
end

defmodule Mix.Tasks.Compile.RamDocs do
  @moduledoc false
  # The documentation of the Erlang modules for h/1 of IEx, beside their ebin.
  use Mix.Task.Compiler

  @root __DIR__
  @script "native/docs.escript"

  @impl true
  def run(_arguments) do
    if File.exists?(Path.join(@root, @script)) do
      Mix.Tasks.Compile.RamNative.run_script(["escript", @script, Mix.Project.app_path()])
    end

    {:noop, []}
  end
end
