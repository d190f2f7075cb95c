defmodule RamTest do
  use ExUnit.Case

  doctest Ram
  doctest Ram.Error
  doctest Ram.Tx

  setup do
    on_exit(fn -> Ram.start_cluster!([node()]) end)
  end

  test "what Elixir wrote Erlang reads, and the other way round" do
    Ram.put("from elixir", 1)
    assert :ram.get("from elixir") == 1
    :ram.put("from erlang", :undefined)
    assert Ram.fetch("from erlang") == {:ok, :undefined}
  end

  test "a process has a name in the whole cluster" do
    name = {:via, :ram_registry, {:elixir, :agent}}
    {:ok, pid} = Agent.start_link(fn -> 1 end, name: name)
    assert {:error, {:already_started, ^pid}} = Agent.start_link(fn -> 2 end, name: name)
    assert Agent.get(name, & &1) == 1
    Agent.stop(name)
    {:ok, _other} = Agent.start_link(fn -> 3 end, name: name)
    assert Agent.get(name, & &1) == 3
  end

  test "what the function of a lock raises is raised" do
    assert_raise RuntimeError, fn -> Ram.with_lock(:raising, fn _ -> raise "no" end) end
    assert {:ok, :free} = Ram.with_lock(:raising, fn _ -> :free end)
    assert_argument("wait", "must be milliseconds", fn -> Ram.lock(:raising, wait: :long) end)
  end

  test "nil is a value, and the default stands for an absent key alone" do
    Ram.put(:nothing, nil)
    assert Ram.get(:nothing, :default) == nil
    assert Ram.get(:absent, :default) == :default
    assert Ram.fetch!(:nothing) == nil
  end

  test "every kind of read sees what was put" do
    Ram.put(:k, 1)

    for reads <- [:lease, :quorum, :local] do
      assert Ram.get(:k, nil, reads: reads) == 1
      assert Ram.fetch(:k, reads: reads) == {:ok, 1}
      assert Ram.fetch!(:k, reads: reads) == 1
    end
  end

  test "many keys come from maps, keyword lists, streams and sets" do
    assert Ram.put_many(%{1 => :a, 1.0 => :b}) == :ok
    assert {Ram.get(1), Ram.get(1.0)} == {:a, :b}
    assert Ram.put_many(Stream.map(1..100, &{{:n, &1}, &1})) == :ok
    assert Ram.get({:n, 100}) == 100
    assert Ram.delete_many(MapSet.new([1, {:n, 100}])) == :ok
    assert {Ram.fetch(1), Ram.fetch(1.0), Ram.fetch({:n, 100})} == {:error, {:ok, :b}, :error}
  end

  test "a wrong argument is an ArgumentError that says which and why" do
    fun = fn -> 1 end
    assert_argument("1st argument", "local fun", fn -> Ram.put(fun, 1) end)
    assert_argument("1st argument", "local fun", fn -> Ram.get(fun) end)
    assert_argument("1st argument", "{Key, Value}", fn -> Ram.put_many([1]) end)
    assert_argument("3rd argument", "fun of one argument", fn -> Ram.update(1, 1, fn -> 1 end) end)
    assert_argument("3rd argument", "reads", fn -> Ram.get(1, 2, reads: :often) end)
    assert_argument("2nd argument", "reads", fn -> Ram.fetch(1, raeds: :local) end)
    assert_argument("1st argument", "node", fn -> Ram.start_cluster([]) end)
    assert_argument("2nd argument", "storage", fn -> Ram.start_cluster([node()], storage: :x) end)
    assert_argument("1st argument", "survivors", fn -> Ram.force_recover(confirm: "x") end)
    assert_argument("1st argument", "file name", fn -> Ram.backup(1) end)
  end

  test "what the function of an update raises is raised as it is, and nothing is changed" do
    Ram.put(:k, 1)
    error = assert_raise RuntimeError, fn -> Ram.update(:k, 0, fn 1 -> raise "no" end) end
    assert Exception.message(error) == "no"
    assert_raise ArithmeticError, fn -> Ram.update(:k, 0, &(1 / (&1 - 1))) end
    assert catch_throw(Ram.update(:k, 0, fn _ -> throw(:ball) end)) == :ball
    assert catch_error(Ram.update(:k, 0, fn _ -> :erlang.error(:mine) end)) == :mine
    assert Ram.get(:k) == 1
  end

  test "what the function of a transaction raises is raised as it is, and nothing is changed" do
    Ram.put(:k, 1)
    stop = fn how -> Ram.transaction(fn tx -> Ram.Tx.put(tx, :k, 2) && how.() end) end
    error = assert_raise RuntimeError, fn -> stop.(fn -> raise "no" end) end
    assert Exception.message(error) == "no"
    assert catch_throw(stop.(fn -> throw(:ball) end)) == :ball
    error = assert_raise Ram.Error, fn -> stop.(fn -> Ram.get(1, 2, table: :nowhere) end) end
    assert error.reason == {:no_table, :nowhere}
    assert Ram.get(:k) == 1
  end

  test "inside of a transaction a failure is a Ram.Error, too" do
    failed = fn tx ->
      try do
        Ram.Tx.get(tx, 1, nil, table: :nowhere)
      rescue
        error in Ram.Error -> {error.reason, hd(__STACKTRACE__)}
      end
    end

    assert {:ok, {{:no_table, :nowhere}, {Ram.Tx, :get, _, _}}} = Ram.transaction(failed)
    assert_argument("1st argument", "transaction", fn -> Ram.Tx.get({:ram_tx, make_ref()}, 1) end)

    assert_argument("4th argument", "limit", fn ->
      Ram.transaction(&Ram.Tx.range(&1, 1, 2, limit: 0))
    end)

    assert_argument("1st argument", "inside", fn ->
      Ram.transaction(fn _ -> Ram.transaction(& &1) end)
    end)
  end

  test "a value that is too large is refused, with its outcome" do
    error = assert_raise Ram.Error, fn -> Ram.put(:k, :binary.copy(<<0>>, 17_000_000)) end
    assert {:value_too_large, _bytes, bytes_max} = error.reason
    assert error.outcome == :not_applied
    assert Exception.message(error) =~ "#{bytes_max}"
  end

  test "without a member every call raises, and begins with the user's call" do
    :ok = Ram.stop_cluster([node()])

    calls = [
      fn -> Ram.get(1) end,
      fn -> Ram.get(1, 2, reads: :local) end,
      fn -> Ram.fetch!(1) end,
      fn -> Ram.put(1, 2) end,
      fn -> Ram.put_many(%{}) end,
      fn -> Ram.update(1, 2, & &1) end,
      fn -> Ram.delete(1) end,
      fn -> Ram.delete_many([1]) end,
      fn -> Ram.nodes() end,
      fn -> Ram.leader() end,
      fn -> Ram.add_node(:a@b) end,
      fn -> Ram.backup("/tmp/never") end
    ]

    for call <- calls do
      {error, stacktrace} =
        try do
          {:returned, call.()}
        rescue
          error -> {error, __STACKTRACE__}
        end

      assert %Ram.Error{reason: :noproc, outcome: :not_applied} = error
      assert [{Ram, _function, _arity, _location} | _] = stacktrace
      assert Exception.message(error) =~ "start_cluster"
    end

    assert %{role: :none, reason: :no_cluster} = Ram.status()
  end

  test "operations on the cluster return the error, and raise it with an exclamation mark" do
    assert {:error, %Ram.Error{reason: {:not_member, :a@b}} = error} = Ram.remove_node(:a@b)
    assert Exception.message(error) =~ "a@b"
    assert_raise Ram.Error, Exception.message(error), fn -> Ram.remove_node!(:a@b) end

    missing = Path.join(System.tmp_dir!(), "no such folder of ram/backup")
    assert {:error, %Ram.Error{reason: {:file, _text}}} = Ram.backup(missing)
    assert_raise Ram.Error, ~r/no such folder of ram/, fn -> Ram.backup!(missing) end
    assert_raise Ram.Error, ~r/no such folder of ram/, fn -> Ram.restore!(missing) end
    assert_raise Ram.Error, fn -> Ram.replace_node!(:a@b, :c@d) end
    assert_raise Ram.Error, fn -> Ram.force_recover!(survivors: [node()], confirm: "another") end
    assert_raise Ram.Error, fn -> Ram.start_cluster!([:nobody@nowhere], wait_ms: 0) end
    assert_raise Ram.Error, fn -> Ram.add_node!(:nobody@nowhere) end
  end

  test "a backup is restored" do
    unique = "ram_test_#{System.pid()}_#{System.unique_integer([:positive])}"
    folder = Path.join(System.tmp_dir!(), unique)
    File.mkdir!(folder)
    on_exit(fn -> File.rm_rf!(folder) end)
    file = Path.join(folder, "backup")
    Ram.put(:kept, "value")
    assert Ram.backup!(file) == :ok
    assert {:error, %Ram.Error{reason: :not_empty}} = Ram.restore(file)
    Ram.stop_cluster!([node()])
    Ram.start_cluster!([node()])
    assert Ram.get(:kept) == nil
    assert Ram.restore!([folder, "/", ~c"backup"]) == :ok
    assert Ram.get(:kept) == "value"
  end

  @tag :capture_log
  test "a wrong setting is named when the application starts" do
    :ok = Ram.stop()
    assert {:error, %Ram.Error{}} = Ram.stop()
    Application.put_env(:ram, :heartbeat_ms, :never)
    error = assert_raise Ram.Error, fn -> Ram.start() end
    assert Exception.message(error) =~ "heartbeat_ms"
    Application.delete_env(:ram, :heartbeat_ms)
    assert Ram.start() == :ok
  end

  test "a member that stopped is started again" do
    assert Ram.restart_server!() == :ok
  end

  # Each function of :ram has its counterpart, with the same arguments in another form.
  test "nothing of the Erlang module is missing" do
    here = for {name, _arity} <- Ram.__info__(:functions), uniq: true, do: name
    there = for {name, _arity} <- :ram.module_info(:exports), uniq: true, do: name
    assert there -- [:module_info | here] == []
    there = :ram_tx.module_info(:exports) -- [module_info: 0, module_info: 1]
    assert there -- Ram.Tx.__info__(:functions) == []
  end

  # The reasons are told by their type; a new one is not forgotten here.
  test "each reason that :ram raises becomes a Ram.Error" do
    reasons = examples(:ram_error, :failure)
    assert :noproc in reasons

    for reason <- reasons do
      assert_raise Ram.Error, fn -> Ram.Error.reraise(reason, []) end
    end
  end

  test "each error has words" do
    for reason <- examples(:ram_error, :failure) ++ examples(:ram_error, :cluster_error) do
      message = Exception.message(Ram.Error.exception(reason))
      assert String.length(message) > 20, inspect({reason, message})
    end
  end

  defp assert_argument(which, why, call) do
    error = assert_raise ArgumentError, call
    message = Exception.message(error)
    assert message =~ which
    assert message =~ why
  end

  # A term for each member of a union type.
  defp examples(module, name) do
    {:ok, types} = Code.Typespec.fetch_types(module)
    [union] = for {:type, {^name, {:type, _, :union, members}, []}} <- types, do: members
    Enum.map(union, &example/1)
  end

  defp example({:ann_type, _, [_variable, type]}), do: example(type)
  defp example({:atom, _, atom}), do: atom
  defp example({:type, _, :tuple, types}), do: types |> Enum.map(&example/1) |> List.to_tuple()
  defp example({:type, _, :union, [type | _]}), do: example(type)
  defp example({:type, _, :list, [type]}), do: [example(type)]
  defp example({:type, _, :node, []}), do: :there@example
  defp example({:type, _, :binary, []}), do: "what went wrong there"
  defp example({:type, _, integer, []}) when integer in [:non_neg_integer, :pos_integer], do: 7
  defp example({:type, _, :term, []}), do: :whatever
  defp example({:type, _, :atom, []}), do: :there
  defp example({:remote_type, _, [{:atom, _, :ram}, {:atom, _, :rev}, []]}), do: 7
  defp example({:user_type, _, :cluster_error, []}), do: {:unreachable, [:there@example]}
end
