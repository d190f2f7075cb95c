%% Random terms, and what their keys must hold. Run by ram_key_SUITE.
%%
%% The judge of order is the virtual machine itself: `first_difference/2` only finds where two terms
%% differ, to set aside what we order in our own way (exact ties, and references, funs, ports and
%% pids among themselves). Debian's PropEr comes without its header, hence the macros.
-module(ram_key_prop).

-export([round_trip/0, identity/0, order/0, hostile_bytes/0, decided/0]).
%% For others that compare terms.
-export([rebuild/1, pair/0, first_difference/2, edit/2, has_own_reference/1]).

-define(FORALL(X, Type, Prop), proper:forall(Type, fun(X) -> Prop end)).
-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).

-import(proper_types, [oneof/1, range/2, vector/2]).
-import(ram_terms, [term/0, leaf/0, number/0, map/1, native_record/1, native_record/5]).

%%% Properties

round_trip() ->
    ?FORALL(T, term(), begin
        Decoded = ram_nif:key_decode(ram_nif:key_encode(T)),
        Decoded =:= T andalso first_difference(Decoded, T) =:= none
    end).

%% Identical terms, also when built in another way, have one key; all others have their own.
identity() ->
    ?FORALL({A, B}, pair(), begin
        {KeyA, KeyB} = {ram_nif:key_encode(A), ram_nif:key_encode(B)},
        Again = rebuild(A),
        (KeyA =:= KeyB) =:= (first_difference(A, B) =:= none)
            andalso (KeyA =/= KeyB orelse A =:= B)
            andalso Again =:= A
            andalso ram_nif:key_encode(Again) =:= KeyA
    end).

order() ->
    ?FORALL({A, B}, pair(), begin
        Actual = compare(ram_nif:key_encode(A), ram_nif:key_encode(B)),
        case expected(A, B) of
            undecided -> Actual =/= equal orelse A =:= B;
            Expected -> count_decided(Expected), Actual =:= Expected
        end
    end).

%% Bytes that are nearly a key are badarg, or of no term that this virtual machine has, or the one
%% key of some term.
hostile_bytes() ->
    ?FORALL({T, Edits}, {term(), vector(2, {range(0, 1 bsl 20), range(0, 255), range(0, 3)})}, begin
        Key = lists:foldl(fun edit/2, ram_nif:key_encode(T), Edits),
        try ram_nif:key_decode(Key) of
            Other -> ram_nif:key_encode(Other) =:= Key orelse has_own_reference(Other)
        catch
            error:badarg -> true;
            error:unreadable_key -> true
        end
    end).

%% Of references that claim to be its own the virtual machine ignores words (OTP 26), so several
%% forged ones are one term.
has_own_reference(T) ->
    has(fun(Part) -> is_reference(Part) andalso node(Part) =:= node() end, T).

%% How many pairs of order/0 were judged by the rules and differed.
decided() ->
    case get(decided) of undefined -> 0; Count -> Count end.

count_decided(equal) -> ok;
count_decided(_) -> put(decided, decided() + 1).

compare(A, B) when A < B -> less;
compare(A, B) when A > B -> greater;
compare(_, _) -> equal.

edit({At, Byte, How}, Key) ->
    <<Head:(At rem byte_size(Key))/binary, Old, Tail/binary>> = Key,
    case How of
        0 -> <<Head/binary, Byte, Tail/binary>>;
        1 -> <<Head/binary, (Old bxor 1), Tail/binary>>;
        2 -> <<Head/binary, Byte, Old, Tail/binary>>;
        3 when Tail =:= <<>>, Head =:= <<>> -> Key;
        3 -> <<Head/binary, Tail/binary>>
    end.

%%% The expected order

expected(A, B) ->
    case first_difference(A, B) of
        none -> equal;
        {X, Y, _} when is_reference(X), is_reference(Y); is_function(X), is_function(Y);
                       is_port(X), is_port(Y); is_pid(X), is_pid(Y) -> undecided;
        {X, Y, plain} when is_number(X), X == Y -> compare(tie(X), tie(Y));
        {X, Y, key} when is_float(X), is_float(Y), X == Y -> compare(tie(X), tie(Y));
        _ ->
            case free_key_order(A) orelse free_key_order(B) of
                true -> undecided;
                false -> compare(A, B)
            end
    end.

tie(X) when is_integer(X) -> 0;
tie(X) -> case <<X/float>> of <<1:1, _:63>> -> 1; _ -> 2 end.

%% Where Erlang's comparison comes upon two parts that are not identical, bit by bit, and whether
%% that is inside a map key.
first_difference(A, B) -> first_difference(A, B, plain).

first_difference(A, B, In) when is_tuple(A), is_tuple(B), tuple_size(A) =:= tuple_size(B) ->
    first_of(tuple_to_list(A), tuple_to_list(B), In);
first_difference([A | As], [B | Bs], In) ->
    case first_difference(A, B, In) of
        none -> first_difference(As, Bs, In);
        Found -> Found
    end;
first_difference(A, B, In) when is_map(A), is_map(B), map_size(A) =:= map_size(B) ->
    {KeysA, KeysB} = {sorted_keys(A), sorted_keys(B)},
    case first_of(KeysA, KeysB, key) of
        none -> first_of([map_get(K, A) || K <- KeysA], [map_get(K, B) || K <- KeysB], In);
        Found -> Found
    end;
first_difference(A, B, In) when is_float(A), is_float(B) ->
    case <<A/float>> =:= <<B/float>> of true -> none; false -> {A, B, In} end;
first_difference(A, B, In) ->
    case {ram_records:parts(A), ram_records:parts(B)} of
        {{Module, Name, IsExported, Names, As}, {Module, Name, IsExported, Names, Bs}} ->
            first_of(As, Bs, In);
        _ when A =:= B -> none;
        _ -> {A, B, In}
    end.

first_of(As, Bs, In) ->
    Found = [D || {A, B} <- lists:zip(As, Bs), D <- [first_difference(A, B, In)], D =/= none],
    case Found of [] -> none; [First | _] -> First end.

%% In map key order, which maps of one key show.
sorted_keys(Map) ->
    lists:sort(fun(A, B) -> #{A => 0} =< #{B => 0} end, maps:keys(Map)).

%% Is there a map whose keys Erlang and we may put in a different order?
free_key_order(Map) when is_map(Map) ->
    Keys = maps:keys(Map),
    length([K || K <- Keys, has_opaque(K)]) > 1
        orelse lists:any(fun has_map_of_atoms/1, Keys)
        orelse lists:any(fun free_key_order/1, Keys)
        orelse lists:any(fun free_key_order/1, maps:values(Map));
free_key_order([Head | Tail]) -> free_key_order(Head) orelse free_key_order(Tail);
free_key_order(Tuple) when is_tuple(Tuple) -> free_key_order(tuple_to_list(Tuple));
free_key_order([]) -> false;
free_key_order(T) -> free_key_order(values(T)).

%% Of a native record.
values(T) ->
    case ram_records:parts(T) of
        none -> [];
        {_Module, _Name, _IsExported, _Names, Values} -> Values
    end.

%% Inside map keys, maps with several atoms as keys are ordered by Erlang (OTP 27) after the numbers
%% that a node gave to the atoms, and by us after their text, as everywhere else.
has_map_of_atoms(T) ->
    has(fun(Part) -> is_map(Part) andalso length([Key || Key <- maps:keys(Part), is_atom(Key)]) > 1
        end, T).

has_opaque(T) ->
    has(fun(Part) -> is_reference(Part) orelse is_function(Part) orelse is_port(Part)
                         orelse is_pid(Part) end, T).

%% Is a part of the term, or all of it, such?
has(Is, T) ->
    Is(T) orelse lists:any(fun(Part) -> has(Is, Part) end, parts_of(T)).

parts_of([Head | Tail]) -> [Head, Tail];
parts_of(T) when is_tuple(T) -> tuple_to_list(T);
parts_of(T) when is_map(T) -> maps:keys(T) ++ maps:values(T);
parts_of(T) -> values(T).

%%% Pairs

pair() ->
    oneof([{term(), term()}, {leaf(), leaf()}, {number(), number()}, near_pair(term()),
           near_pair(map(8)), near_pair(leaf()), swapped(term())]
          ++ [near_pair(native_record(8)) || ram_records:available()]).

near_pair(Type) ->
    ?LET({T, Choice}, {Type, range(0, 1 bsl 40)}, {T, mutate(T, Choice)}).

%% A second difference behind the first, the other way round.
swapped(Type) -> ?LET({A, B}, near_pair(Type), {{A, B}, {B, A}}).

%% The term with one of its leaves changed a little.
mutate(T, N) when is_tuple(T), tuple_size(T) > 0 ->
    At = N rem tuple_size(T) + 1,
    setelement(At, T, mutate(element(At, T), N div tuple_size(T)));
mutate([Head | Tail], N) when N rem 3 =:= 0 -> [mutate(Head, N div 3) | Tail];
mutate([Head | Tail], N) -> [Head | mutate(Tail, N div 3)];
mutate(Map, N) when is_map(Map), map_size(Map) > 0 ->
    Key = lists:nth(N rem map_size(Map) + 1, maps:keys(Map)),
    More = N div map_size(Map),
    case More rem 2 of
        0 -> Map#{Key := mutate(map_get(Key, Map), More div 2)};
        1 -> maps:put(mutate(Key, More div 2), map_get(Key, Map), maps:remove(Key, Map))
    end;
mutate(T, N) ->
    case ram_records:parts(T) of
        none -> mutate_leaf(T, N rem 4);
        Parts -> mutate_record(N rem 8, Parts, N div 8)
    end.

mutate_record(0, {Module, Name, IsExported, Names, Values}, _) ->
    native_record(Module, Name, IsExported =:= 0, Names, Values);
mutate_record(1, {Module, Name, IsExported, Names, Values}, _) ->
    native_record(Name, Module, IsExported =:= 1, Names, Values);
mutate_record(2, {Module, Name, IsExported, Names, Values}, _) ->
    native_record(Module, Name, IsExported =:= 1, lists:reverse(Names), Values);
mutate_record(_, {Module, Name, IsExported, [_ | _] = Names, Values}, N) ->
    Mutated = mutate(list_to_tuple(Values), N),
    native_record(Module, Name, IsExported =:= 1, Names, tuple_to_list(Mutated));
mutate_record(_, {Module, Name, IsExported, [], []}, _) ->
    native_record(Module, Name, IsExported =:= 1, [a], [0]).

mutate_leaf(T, 0) when is_integer(T) -> T + 1;
mutate_leaf(T, 1) when is_integer(T) -> -T;
mutate_leaf(T, _) when is_integer(T), abs(T) < 1 bsl 1020 -> float(T);
mutate_leaf(T, _) when is_integer(T) -> T - 1;
mutate_leaf(T, 0) when is_float(T) -> trunc(T);
mutate_leaf(T, 1) when is_float(T) -> -T;
mutate_leaf(T, N) when is_float(T) ->
    <<Bits:64>> = <<T/float>>,
    ram_terms:float_of(Bits + N * 2 - 5);
mutate_leaf(T, N) when is_atom(T), N < 3 ->
    list_to_atom(lists:sublist(atom_to_list(T), 254) ++ [lists:nth(N + 1, [0, $a, 8364])]);
mutate_leaf(T, 0) when is_bitstring(T) -> <<T/bitstring, 0:1>>;
mutate_leaf(T, 1) when is_bitstring(T) -> <<T/bitstring, 0>>;
mutate_leaf(T, N) when is_bitstring(T), bit_size(T) > 0 ->
    Size = bit_size(T) - 1,
    <<Head:Size/bitstring, Last:1>> = T,
    case N of 2 -> Head; 3 -> <<Head/bitstring, (1 - Last):1>> end;
mutate_leaf(_, N) -> lists:nth(N + 1, [[], {}, #{}, 0]).

%% The same term, made in another way.
rebuild(T) when is_tuple(T) -> list_to_tuple(rebuild(tuple_to_list(T)));
rebuild([Head | Tail]) -> [rebuild(Head) | rebuild(Tail)];
rebuild(Map) when is_map(Map) ->
    Pairs = [{erlang:phash2({salt, K}), rebuild(K), rebuild(V)} || {K, V} <- maps:to_list(Map)],
    Add = fun({_, K, V}, Acc) -> Acc#{K => V} end,
    Extra = [{extra, I} || I <- lists:seq(1, 33)],
    Large = lists:foldl(Add, maps:from_list([{E, 0} || E <- Extra]), lists:sort(Pairs)),
    lists:foldl(fun maps:remove/2, Large, Extra);
rebuild(T) when is_integer(T) -> (T + (1 bsl 2000)) - (1 bsl 2000);
rebuild(T) when is_atom(T) -> binary_to_atom(atom_to_binary(T));
rebuild(T) when is_bitstring(T) ->
    Size = bit_size(T),
    <<_:3, Part:Size/bitstring, _/bitstring>> = <<5:3, T/bitstring, 1:1>>,
    Part;
rebuild(T) -> binary_to_term(term_to_binary(T)).
