%% Work that tests run on the nodes themselves.
-module(ram_load).

-export([spawn_all/5, wait_all/1]).
-export([count_up/2, put_and_get_own/2, put_binary/2, put_random/2, hash/1,
         put_many_binaries/3, with_mailbox/2, write_on/2, missing/2]).
-export([explained/3, exception/2, exception_as_if/2]).
-export([put_all/1, put_numbers/2, put_twins/2, put_both/3, see_both/2]).
-export([threads/0, rounds/1, resident_bytes/0]).

%% @doc Runs Fun(Number, Arguments) in Count processes on each of the nodes, controlled from here.
spawn_all(Run, Indexes, Count, Fun, Arguments) ->
    {module, Module} = erlang:fun_info(Fun, module),
    {name, Name} = erlang:fun_info(Fun, name),
    [spawn_monitor(fun() ->
                           Number = {I, N},
                           exit({done, ram_peers:call(Run, I, Module, Name, [Number, Arguments],
                                                      120000)})
                   end) || I <- Indexes, N <- lists:seq(1, Count)].

%% @doc Waits for all; any that ended in another way than ok is an error.
wait_all(Workers) ->
    Results = [receive {'DOWN', Monitor, process, Pid, Reason} -> Reason end
               || {Pid, Monitor} <- Workers],
    case [Result || Result <- Results, Result =/= {done, ok}] of
        [] -> ok;
        Others -> error({workers_failed, lists:usort(Others)})
    end.

count_up(_Number, [Key, Times]) ->
    [ok = ram:update(Key, 1, fun(N) -> N + 1 end) || _ <- lists:seq(1, Times)],
    ok.

put_and_get_own(Number, [Name, Times]) ->
    [begin
         ok = ram:put({Name, Number}, {Number, T}),
         {Number, T} = ram:get({Name, Number})
     end || T <- lists:seq(1, Times)],
    ok.

put_binary(Key, Bytes) ->
    ram:put(Key, binary:copy(<<7>>, Bytes)).

%% @doc Puts random bytes, and returns their hash: they are too many for the channel to the tests.
put_random(Key, Bytes) ->
    Value = crypto:strong_rand_bytes(Bytes),
    ok = ram:put(Key, Value),
    crypto:hash(sha256, Value).

hash(Key) ->
    crypto:hash(sha256, ram:get(Key)).

%% @doc Puts Count values of so many bytes at once, under {Name, 1} and so on.
put_many_binaries(Name, Count, Bytes) ->
    ram:put_many([{{Name, N}, binary:copy(<<7>>, Bytes)} || N <- lists:seq(1, Count)]).

%% @doc What a call raises, and how the shell would explain it. The exception is that of the call.
explained(Module, Function, Arguments) ->
    try apply(Module, Function, Arguments) of
        Result -> {returned, Result}
    catch
        error:Reason:Stack ->
            [{Module, Function, Told, Info} | _] = Stack,
            %% Of large ones their number.
            true = lists:member(Told, [Arguments, length(Arguments)]),
            #{module := Explainer} = proplists:get_value(error_info, Info),
            {Reason, Explainer:format_error(Reason, Stack)}
    end.

%% @doc What a call of ram raises: the reason, the stack, and what the shell of Erlang prints.
exception(Function, Arguments) ->
    try apply(ram, Function, Arguments) of
        Result -> {returned, Result}
    catch error:Reason:Stack -> exception_told(Reason, Stack)
    end.

%% @doc The same, as if the call had failed for this reason.
exception_as_if(Reason, Call) ->
    try ram_error:failure(Reason, Call)
    catch error:Reason:Stack -> exception_told(Reason, Stack)
    end.

exception_told(Reason, Stack) ->
    Text = erl_error:format_exception(error, Reason, Stack),
    {Reason, Stack, unicode:characters_to_list(Text)}.

%% @doc Times puts with an empty and with a full mailbox; and how many messages are left.
with_mailbox(Messages, Puts) ->
    Put = fun() -> [ok = ram:put(mailbox, N) || N <- lists:seq(1, Puts)] end,
    Self = self(),
    Worker = fun() ->
                     Put(),
                     {Empty, _} = timer:tc(Put),
                     [self() ! {noise, N} || N <- lists:seq(1, Messages)],
                     {Full, _} = timer:tc(Put),
                     {message_queue_len, Left} = process_info(self(), message_queue_len),
                     Self ! {self(), {Empty, Full, Left}}
             end,
    {Pid, Monitor} = spawn_monitor(Worker),
    receive
        {Pid, Result} -> demonitor(Monitor, [flush]), Result;
        {'DOWN', Monitor, process, Pid, Reason} -> exit(Reason)
    end.

%% @doc Puts {Name, Number} => 1, 2, 3 ... until the table says stop; returns the last that was
%% acknowledged. A put that timed out may or may not count.
write_on(Number, [Name, Milliseconds]) ->
    write_on(Number, Name, erlang:monotonic_time(millisecond) + Milliseconds, 1, []).

write_on(Number, Name, Deadline, N, Acknowledged) ->
    case erlang:monotonic_time(millisecond) > Deadline of
        true -> {Number, lists:reverse(Acknowledged)};
        false ->
            Done = try ram:put({Name, Number, N}, N) of
                       ok -> [N]
                   catch error:{timeout, _} -> []
                   end,
            write_on(Number, Name, Deadline, N + 1, Done ++ Acknowledged)
    end.

%% @doc Which of the acknowledged writes of `write_on' this node does not show. Asked from many
%% processes, since reads that wait share their way to the leader.
missing(Name, Written) ->
    Keys = [{Name, Number, N} || {Number, Acknowledged} <- Written, N <- Acknowledged],
    Readers = [spawn_monitor(fun() -> exit({missing, [K || {_, _, N} = K <- Part,
                                                          ram:fetch(K) =/= {ok, N}]}) end)
               || Part <- parts(Keys, 1 + length(Keys) div 100)],
    lists:append([receive {'DOWN', Monitor, process, Pid, {missing, Missing}} -> Missing end
                  || {Pid, Monitor} <- Readers]).

parts(List, Length) when length(List) > Length ->
    {Part, Rest} = lists:split(Length, List),
    [Part | parts(Rest, Length)];
parts(List, _Length) ->
    [List].

%% @doc Puts entries from a hundred processes. Few, since they come over standard input.
put_all(Entries) ->
    Tuple = list_to_tuple(Entries),
    put_each(tuple_size(Tuple), fun(N) -> element(N, Tuple) end).

%% @doc Puts values of so many bytes under 1 to Count, from a hundred processes.
put_numbers(Count, Bytes) ->
    put_each(Count, fun(N) -> {N, <<N:(8 * Bytes)>>} end).

put_each(Count, Entry) ->
    Put = fun(N) -> {Key, Value} = Entry(N), ok = ram:put(Key, Value) end,
    Work = fun(From) -> lists:foreach(Put, lists:seq(From, Count, 100)), exit({done, ok}) end,
    wait_all([spawn_monitor(fun() -> Work(From) end) || From <- lists:seq(1, min(100, Count))]).

%% @doc Puts N under {a, Number}, then under {b, Number}, for N from 1, as long as told.
put_twins(Number, [Milliseconds]) ->
    put_twins(Number, erlang:monotonic_time(millisecond) + Milliseconds, 1).

put_twins(Number, Deadline, N) ->
    ok = ram:put({a, Number}, N),
    ok = ram:put({b, Number}, N),
    case erlang:monotonic_time(millisecond) > Deadline of
        true -> ok;
        false -> put_twins(Number, Deadline, N + 1)
    end.

%% @doc Puts N under both keys at once, for N from 1, as long as told.
put_both(Left, Right, Milliseconds) ->
    put_both(Left, Right, erlang:monotonic_time(millisecond) + Milliseconds, 1).

put_both(Left, Right, Deadline, N) ->
    ok = ram:put_many([{Left, N}, {Right, N}]),
    case erlang:monotonic_time(millisecond) > Deadline of
        true -> ok;
        false -> put_both(Left, Right, Deadline, N + 1)
    end.

%% @doc Reads one key, then the other, which `put_both' sets in the opposite order: the second is
%% never older than the first.
see_both(_Number, [Left, Right, Milliseconds]) ->
    see_both_until(Left, Right, erlang:monotonic_time(millisecond) + Milliseconds).

see_both_until(Left, Right, Deadline) ->
    {Seen, Then} = {ram:get(Left), ram:get(Right)},
    case erlang:monotonic_time(millisecond) > Deadline of
        _ when Then < Seen -> {part_of_a_batch, Seen, Then};
        true -> ok;
        false -> see_both_until(Left, Right, Deadline)
    end.

%% @doc How many threads this VM has.
threads() ->
    {ok, Tasks} = file:list_dir("/proc/self/task"),
    length(Tasks).

%% @doc Rounds of start, a write, and stop; the resident bytes after each. Ends started.
rounds(Count) ->
    [begin
         ok = ram:stop(),
         ok = ram:start(),
         ok = ram:put(round, N),
         erlang:garbage_collect(),
         resident_bytes()
     end || N <- lists:seq(1, Count)].

%% @doc The resident set of this VM.
resident_bytes() ->
    {ok, Statm} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = string:split(Statm, " ", all),
    4096 * binary_to_integer(Pages).
